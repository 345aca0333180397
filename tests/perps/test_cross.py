"""Accounts of cross margin: what they are worth, and how long an answer holds; against exact fractions."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from app.perps.maths.cross import account_health
from app.perps.types.accounts import Leg
from app.perps.types.markets import Boundary
from app.perps.types.positions import Side
from tests.perps.strategies import WAD, sizes

usual_prices = st.integers(WAD // 100, 200_000 * WAD)
legs = st.lists(
    st.builds(
        Leg,
        side=st.sampled_from(Side),
        size_wad=sizes,
        entry_price_wad=usual_prices,
        price_wad=usual_prices,
        funding_wad=st.integers(-(10**22), 10**22),
        margin_rate_wad=st.integers(0, WAD // 5),
    ),
    max_size=6,
)
balances = st.one_of(st.integers(-(10**24), 10**24), st.integers(0, 10**36))


def leg(side: Side, size: int, entry: int, price: int, funding: int = 0) -> Leg:
    return Leg(
        side=side,
        size_wad=size * WAD,
        entry_price_wad=entry * WAD,
        price_wad=price * WAD,
        funding_wad=funding * WAD,
        margin_rate_wad=WAD // 20,
    )


def test_by_hand() -> None:
    """A long of 2 at 100 and a short of 1 at 50; the prices are 110 and 60: 20 won, 10 lost, 3 owed."""
    found = account_health(100 * WAD, [leg(Side.LONG, 2, 100, 110, 5), leg(Side.SHORT, 1, 50, 60, -2)], Boundary.BELOW)
    assert (found.unrealized_pnl_wad, found.funding_wad, found.equity_wad) == (10 * WAD, 3 * WAD, 107 * WAD)
    assert (found.maintenance_wad, found.is_liquidatable) == (14 * WAD, False)
    assert found.health_factor == Decimal("7.642857")
    # 93 are left above the margin; against the account 220 move by 0.95 and 60 by 1.05.
    assert found.drift_bound == Decimal("0.341911")


def test_at_its_margin_the_boundary_decides_and_no_move_is_left() -> None:
    for boundary in Boundary:
        found = account_health(5 * WAD, [leg(Side.LONG, 1, 100, 100)], boundary)
        assert (found.equity_wad, found.maintenance_wad, found.drift_bound) == (5 * WAD, 5 * WAD, 0)
        assert found.is_liquidatable is (boundary is Boundary.AT_OR_BELOW)


def test_an_account_without_positions_has_nothing_to_keep() -> None:
    found = account_health(-WAD, [], Boundary.BELOW)
    assert (found.health_factor, found.drift_bound, found.is_liquidatable) == (None, None, False)


@settings(max_examples=400, deadline=None)
@given(balances, legs, st.sampled_from(Boundary))
def test_against_exact_fractions(balance: int, found: list[Leg], boundary: Boundary) -> None:
    health = account_health(balance, found, boundary)
    equity, required = Fraction(balance), Fraction(0)
    for one in found:
        size = Fraction(one.size_wad, WAD)
        equity += one.side.sign * size * (one.price_wad - one.entry_price_wad) - one.funding_wad
        required += size * one.price_wad * Fraction(one.margin_rate_wad, WAD)
    assert 0 <= equity - health.equity_wad < max(1, len(found))
    assert 0 <= health.maintenance_wad - required < 1
    if found and health.equity_wad < required:
        assert health.is_liquidatable
    if health.is_liquidatable:
        assert health.equity_wad <= required


@settings(max_examples=600, deadline=None)
@given(balances, legs, st.sampled_from(Boundary), st.lists(st.integers(-1000, 1000), min_size=6, max_size=6))
def test_no_account_within_its_bound_is_ever_missed(
    balance: int, found: list[Leg], boundary: Boundary, moves: list[int]
) -> None:
    """Each price moves by a part of the bound, up or down, as if somebody wanted to hurt the account."""
    health = account_health(balance, found, boundary)
    if health.drift_bound is None or health.is_liquidatable:
        return
    bound = min(Fraction(health.drift_bound), Fraction(99, 100))
    moved = []
    for one, share in zip(found, moves, strict=False):
        price = int(one.price_wad * (1 + bound * Fraction(share, 1000)))
        moved.append(replace(one, price_wad=price))
    after = account_health(balance, moved, boundary)
    # Prices cut to a unit, and each leg's profit to one: never more than that.
    slack = sum(2 + one.size_wad * 2 // WAD for one in found)
    assert not after.is_liquidatable or after.equity_wad + slack >= after.maintenance_wad


def test_the_bound_is_no_wider_than_it_may_be() -> None:
    """Just beyond it, all prices moving against the account, it is liquidatable."""
    before = account_health(100 * WAD, [leg(Side.LONG, 2, 100, 110, 5), leg(Side.SHORT, 1, 50, 60, -2)], Boundary.BELOW)
    assert before.drift_bound is not None
    move = before.drift_bound + Decimal("0.00001")
    hit = [leg(Side.LONG, 2, 100, 0, 5), leg(Side.SHORT, 1, 50, 0, -2)]
    prices = [int(110 * WAD * (1 - move)), int(60 * WAD * (1 + move))]
    moved = [replace(one, price_wad=price) for one, price in zip(hit, prices, strict=True)]
    assert account_health(100 * WAD, moved, Boundary.BELOW).is_liquidatable
