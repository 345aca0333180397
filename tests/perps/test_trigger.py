"""The trigger key: whoever is unhealthy at a price is at or above its bound, and hardly anybody else."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.perps.maths.margin import is_liquidatable
from app.perps.maths.trigger import GUARD, trigger_bound, trigger_key
from app.perps.types.markets import Boundary, Margin
from app.perps.types.positions import Holding, Side
from tests.perps.strategies import WAD, holdings, indexes, margins, prices


def is_candidate(found: Holding, price: int, index: int, margin: Margin) -> bool:
    return trigger_key(found) >= trigger_bound(found.side, price, index, margin)


@settings(max_examples=800, deadline=None)
@given(holdings, prices, indexes, margins)
def test_no_unhealthy_position_is_missed(found: Holding, price: int, index: int, margin: Margin) -> None:
    if is_liquidatable(found, price, index, margin):
        assert is_candidate(found, price, index, margin)


@settings(max_examples=800, deadline=None)
@given(holdings, indexes, margins, st.integers(-3, 3))
def test_nor_one_within_units_of_its_margin(found: Holding, index: int, margin: Margin, units: int) -> None:
    """The price is put where the position stands at its margin, give or take a few units."""
    sign = found.side.sign
    gap = index - found.entry_funding_index_wad
    numerator = (sign * found.entry_price_wad + gap) * found.size_wad - found.collateral_wad * WAD
    price = numerator * WAD // (found.size_wad * (sign * WAD - margin.rate_wad)) + units
    assume(price > 0)
    if is_liquidatable(found, price, index, margin):
        assert is_candidate(found, price, index, margin)


@settings(max_examples=600, deadline=None)
@given(holdings, prices, indexes, margins)
def test_a_candidate_is_unhealthy_or_within_the_band(found: Holding, price: int, index: int, margin: Margin) -> None:
    """So the scan brings no more than it should: with the band and two units of quote taken off, it is unhealthy."""
    if not is_candidate(found, price, index, margin):
        return
    size, sign = Fraction(found.size_wad, WAD), found.side.sign
    equity = (
        found.collateral_wad
        + sign * size * (price - found.entry_price_wad)
        - size * (index - found.entry_funding_index_wad)
    )
    required = size * price * Fraction(margin.rate_wad, WAD)
    notional = Fraction(abs(price * (sign * WAD - margin.rate_wad)), WAD)
    band = size * 2 * Fraction(GUARD) * max(notional, abs(index))
    # A double holds the key to a part in 2^52.
    resolution = size * Fraction(abs(trigger_key(found))) * WAD / 2**52
    assert equity - required <= 2 + band + resolution


@pytest.mark.parametrize(
    ("side", "key", "bound"),
    # Worked by hand: entry 1,000, 100 of collateral on one unit, entry index 5; price 950, index 15, margin 2 %.
    [(Side.LONG, 1000 - 5 - 100, 950 - 19 - 15), (Side.SHORT, -1000 - 5 - 100, -950 - 19 - 15)],
)
def test_by_hand(side: Side, key: float, bound: float) -> None:
    margin = Margin(WAD // 50, Boundary.BELOW)
    assert trigger_key(Holding(side, WAD, 100 * WAD, 1000 * WAD, 5 * WAD)) == pytest.approx(key, rel=1e-15)
    assert trigger_bound(side, 950 * WAD, 15 * WAD, margin) == pytest.approx(bound, rel=2e-9)
