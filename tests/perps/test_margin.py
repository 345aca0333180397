"""What a position is worth: against plain fractions, and the rule at the boundary."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given

from app.perps.maths.margin import (
    equity_wad,
    funding_owed_wad,
    health_factor,
    is_liquidatable,
    leverage_wad,
    maintenance_wad,
    price_pnl_wad,
    prospects,
)
from app.perps.types.markets import Boundary, Margin
from app.perps.types.positions import Holding, Side
from tests.perps.strategies import WAD, holdings, indexes, margins, prices

TEN_PERCENT = Margin(WAD // 10, Boundary.BELOW)


def holding(
    side: Side, size: int = WAD, collateral: int = 100 * WAD, entry: int = 1000 * WAD, index: int = 0
) -> Holding:
    return Holding(side, size, collateral, entry, index)


@pytest.mark.parametrize(
    ("side", "price", "pnl"),
    [
        (Side.LONG, 1100, 100),
        (Side.LONG, 900, -100),
        (Side.SHORT, 1100, -100),
        (Side.SHORT, 900, 100),
        (Side.LONG, 1000, 0),
    ],
)
def test_who_wins(side: Side, price: int, pnl: int) -> None:
    assert price_pnl_wad(holding(side), price * WAD) == pnl * WAD


@pytest.mark.parametrize(
    ("price", "index", "pnl", "funding"),
    [
        # A third of a unit: a gain of 1/3 is nothing, a loss is 1; a debt of 1/3 is 1, an earning nothing.
        (WAD + 1, 1, 0, 1),
        (WAD - 1, -1, -1, 0),
    ],
)
def test_each_payment_is_rounded_against_the_trader(price: int, index: int, pnl: int, funding: int) -> None:
    third = holding(Side.LONG, size=WAD // 3, entry=WAD)
    assert price_pnl_wad(third, price) == pnl
    assert funding_owed_wad(third, index) == funding


@given(holdings, prices, indexes)
def test_payments_against_fractions(found: Holding, price: int, index: int) -> None:
    sign = 1 if found.side == "long" else -1
    size = Fraction(found.size_wad, WAD)
    pnl = floor(sign * size * (price - found.entry_price_wad))
    funding = ceil(size * (index - found.entry_funding_index_wad))
    assert price_pnl_wad(found, price) == pnl
    assert funding_owed_wad(found, index) == funding
    assert equity_wad(found, price, index) == found.collateral_wad + pnl - funding


@given(holdings, prices, indexes, margins)
def test_liquidatable_against_fractions(found: Holding, price: int, index: int, margin: Margin) -> None:
    required = Fraction(found.size_wad, WAD) * price * Fraction(margin.rate_wad, WAD)
    equity = equity_wad(found, price, index)
    expected = equity < required or (margin.boundary == "<=" and equity == required)
    assert is_liquidatable(found, price, index, margin) is expected
    assert maintenance_wad(found.size_wad, price, margin) == ceil(required)
    factor = health_factor(found, price, index, margin)
    if factor is None:
        assert required == 0
    else:
        exact = Fraction(equity) / required
        assert Fraction(factor) <= exact < Fraction(factor) + Fraction(1, 10**6)
        assert (factor < 1) is (equity < required)


def test_the_boundary_belongs_to_the_protocol() -> None:
    # Equity is exactly the margin: 100 + 0 - 0 against a tenth of 1,000.
    exactly = holding(Side.LONG)
    assert not is_liquidatable(exactly, 1000 * WAD, 0, TEN_PERCENT)
    assert is_liquidatable(exactly, 1000 * WAD, 0, Margin(WAD // 10, Boundary.AT_OR_BELOW))
    assert is_liquidatable(exactly, 1000 * WAD, 1, TEN_PERCENT)


def test_a_margin_of_nothing_is_infinite_health_and_never_zero() -> None:
    assert health_factor(holding(Side.LONG), 1000 * WAD, 0, Margin(0, Boundary.BELOW)) is None


def test_an_insolvent_position_has_a_negative_factor() -> None:
    found = holding(Side.LONG)
    assert health_factor(found, 800 * WAD, 0, TEN_PERCENT) == Decimal("-1.25")
    assert prospects(found, 800 * WAD, 0, TEN_PERCENT).equity_wad == -100 * WAD


def test_leverage_is_rounded_up_and_empty_without_collateral() -> None:
    assert leverage_wad(WAD, 1000 * WAD, 100 * WAD) == 10 * WAD
    assert leverage_wad(WAD, 1000 * WAD, 300 * WAD) == 3333333333333333334
    assert leverage_wad(WAD, 1000 * WAD, 0) is None


@pytest.mark.parametrize("rate", [-1, WAD, 2 * WAD])
def test_a_margin_rate_is_a_fraction(rate: int) -> None:
    with pytest.raises(ValueError, match="fraction"):
        Margin(rate, Boundary.BELOW)
