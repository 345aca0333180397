"""Liquidation and bankruptcy prices: dYdX's published example, and exact fractions over many positions."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings

from app.perps.maths.margin import is_liquidatable
from app.perps.maths.thresholds import bankruptcy_price_wad, liquidation_price_wad
from app.perps.types.markets import Boundary, Margin
from app.perps.types.positions import Holding, Side
from tests.perps.strategies import WAD, holdings, indexes, margins

FIVE_PERCENT = Margin(WAD // 20, Boundary.BELOW)


@pytest.mark.parametrize(
    ("side", "published"),
    # dYdX's documentation, "Isolated Liquidation Price": 3 ETH at $3,000 on $1,000 with a maintenance margin of 5 %.
    [(Side.SHORT, "3174.60"), (Side.LONG, "2807.02")],
)
def test_the_published_example(side: Side, published: str) -> None:
    found = liquidation_price_wad(Holding(side, 3 * WAD, 1000 * WAD, 3000 * WAD, 0), 0, FIVE_PERCENT)
    assert found is not None
    assert (Decimal(found) / WAD).quantize(Decimal("0.01")) == Decimal(published)


def test_funding_moves_the_price_towards_who_paid_it() -> None:
    long = Holding(Side.LONG, 2 * WAD, 100 * WAD, 1000 * WAD, 7 * WAD)
    short = Holding(Side.SHORT, 2 * WAD, 100 * WAD, 1000 * WAD, 7 * WAD)
    nothing = Margin(0, Boundary.BELOW)
    # Each unit has 50 of collateral and owes 3 of funding.
    assert liquidation_price_wad(long, 10 * WAD, nothing) == 953 * WAD
    assert liquidation_price_wad(short, 10 * WAD, nothing) == 1047 * WAD
    assert bankruptcy_price_wad(long, 10 * WAD) == 953 * WAD


def test_a_long_of_its_whole_worth_has_no_liquidation_price() -> None:
    assert liquidation_price_wad(Holding(Side.LONG, WAD, 1000 * WAD, 1000 * WAD, 0), 0, FIVE_PERCENT) is None
    assert bankruptcy_price_wad(Holding(Side.LONG, WAD, 1000 * WAD, 1000 * WAD, 0), 0) is None


def test_a_short_beyond_saving_is_liquidatable_at_every_price() -> None:
    assert liquidation_price_wad(Holding(Side.SHORT, WAD, 0, 100 * WAD, 0), 200 * WAD, FIVE_PERCENT) == 0


@settings(max_examples=800, deadline=None)
@given(holdings, indexes, margins)
def test_against_exact_fractions(found: Holding, index: int, margin: Margin) -> None:
    sign = 1 if found.side == "long" else -1
    size, rate = Fraction(found.size_wad, WAD), Fraction(margin.rate_wad, WAD)
    gap = index - found.entry_funding_index_wad
    # perps.md §2: p* = (q·e − s·M + s·q·ΔI) / (q·(1 − s·m)), with the index of what this side owes.
    exact = (size * found.entry_price_wad - sign * found.collateral_wad + sign * size * gap) / (
        size * (1 - sign * rate)
    )
    shown = liquidation_price_wad(found, index, margin)
    if sign > 0:
        assert (shown is None) is (exact <= 0)
        assert shown is None or 0 <= shown - exact < 1
    else:
        assert shown is not None
        assert shown == 0 if exact <= 0 else 0 <= exact - shown < 1


@settings(max_examples=500, deadline=None)
@given(holdings, indexes, margins)
def test_health_turns_at_the_liquidation_price(found: Holding, index: int, margin: Margin) -> None:
    shown = liquidation_price_wad(found, index, margin)
    if shown is None:
        assert not is_liquidatable(found, 10**60, index, margin)
        return
    sign = 1 if found.side == "long" else -1
    # The payments' roundings are worth at most two units of quote, which is this much of a price, and one for our own.
    slack = 1 + 2 * WAD * WAD // (found.size_wad * (WAD - sign * margin.rate_wad)) + 1
    beyond, within = shown - sign * 2, shown + sign * slack
    if beyond > 0:
        assert is_liquidatable(found, beyond, index, margin)
    if within > 0:
        assert not is_liquidatable(found, within, index, margin) or margin.boundary == "<="
