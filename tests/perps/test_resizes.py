"""A position whose size moves: part closes, additions, turns; in deltas and absolutely, by hand and by fractions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.perps.maths.fold import folded
from app.perps.maths.units import WAD
from app.perps.types.changes import Indexes, PositionChange
from app.perps.types.positions import Folded, Place, Position, PositionStatus, Side
from app.perps.types.vocabulary import Effect, Mode

START = datetime(2026, 1, 1, tzinfo=UTC)
OWNER = b"\xaa" * 20


def place(number: int) -> Place:
    return Place(number, 0, b"\x01" * 32, number.to_bytes(32, "big"), START + timedelta(hours=number))


def change(number: int, effect: Effect, mode: Mode = Mode.ABSOLUTE, **values: Any) -> PositionChange:
    return PositionChange(key="k", market_id="m", effect=effect, mode=mode, place=place(number), **values)


def opened(side: Side = Side.LONG, size: int = 2, price: int = 100, **values: Any) -> PositionChange:
    named = {"owner": OWNER, "side": side, "size_wad": size * WAD, "entry_price_wad": price * WAD, **values}
    return change(1, Effect.OPEN, **({"collateral_wad": 50 * WAD, "entry_funding_index_wad": 0} | named))


def ended(*changes: PositionChange) -> Position:
    found = folded("x", None, changes).position
    assert found is not None
    return found


@pytest.mark.parametrize("mode", Mode)
def test_an_addition_averages_the_entry(mode: Mode) -> None:
    size = WAD if mode is Mode.DELTA else 3 * WAD
    more = ended(opened(), change(2, Effect.CHANGE, mode, size_wad=size, price_wad=130 * WAD))
    assert (more.size_wad, more.entry_price_wad, more.realized_pnl_wad) == (3 * WAD, 110 * WAD, 0)
    assert (more.opened, more.status) == (place(1), PositionStatus.OPEN)


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("mode", Mode)
def test_a_part_that_is_given_up_realises_its_profit(side: Side, mode: Mode) -> None:
    size = -WAD // 2 if mode is Mode.DELTA else 3 * WAD // 2
    less = ended(opened(side), change(2, Effect.CHANGE, mode, size_wad=size, price_wad=130 * WAD, fee_wad=WAD))
    assert (less.size_wad, less.entry_price_wad) == (3 * WAD // 2, 100 * WAD)
    assert (less.realized_pnl_wad, less.fees_wad) == (side.sign * 15 * WAD, WAD)


@pytest.mark.parametrize("side", Side)
def test_a_delta_past_nothing_closes_and_opens(side: Side) -> None:
    other = Side.SHORT if side is Side.LONG else Side.LONG
    crossing = {"size_wad": -5 * WAD, "price_wad": 130 * WAD}
    turned = folded("x", None, [opened(side), change(2, Effect.CHANGE, Mode.DELTA, **crossing)])
    found = turned.position
    assert found is not None
    assert (found.side, found.size_wad, found.entry_price_wad) == (other, 3 * WAD, 130 * WAD)
    assert (found.status, found.opened, found.realized_pnl_wad) == (PositionStatus.OPEN, place(2), side.sign * 60 * WAD)
    longs, shorts = [-2 * WAD, 3 * WAD] if side is Side.LONG else [3 * WAD, -2 * WAD]
    assert (turned.entries[1].long_moved_wad, turned.entries[1].short_moved_wad) == (longs, shorts)
    absolute = change(2, Effect.CHANGE, side=other, size_wad=3 * WAD, price_wad=130 * WAD)
    assert ended(opened(side), absolute) == found


@pytest.mark.parametrize("mode", Mode)
def test_a_size_of_nothing_is_an_end(mode: Mode) -> None:
    size = -2 * WAD if mode is Mode.DELTA else 0
    closed = ended(opened(), change(2, Effect.CHANGE, mode, size_wad=size, price_wad=90 * WAD))
    assert (closed.status, closed.exit_price_wad, closed.size_wad) == (PositionStatus.CLOSED, 90 * WAD, 2 * WAD)
    assert (closed.realized_pnl_wad, closed.net_transfers_wad) == (-20 * WAD, 20 * WAD)


def test_a_close_of_a_part_leaves_the_rest() -> None:
    part = change(2, Effect.CLOSE, size_wad=WAD, exit_price_wad=110 * WAD, collateral_wad=25 * WAD, fee_wad=WAD)
    found = folded("x", None, [opened(), part])
    assert found.position is not None
    assert (found.position.status, found.position.size_wad, found.position.exit_price_wad) == ("open", WAD, None)
    # 50 were held, 10 won, 1 paid, 25 are left: 34 went to the owner.
    assert (found.entries[1].realized_pnl_wad, found.entries[1].transfer_wad) == (10 * WAD, -34 * WAD)
    rest = change(3, Effect.CLOSE, size_wad=WAD, exit_price_wad=90 * WAD)
    whole = folded("x", found.position, [rest])
    assert whole.position is not None
    assert (whole.position.status, whole.position.realized_pnl_wad) == (PositionStatus.CLOSED, 0)
    assert whole.entries[0].transfer_wad == -15 * WAD
    assert whole.position.net_transfers_wad == WAD  # the fee is all that is gone


def test_what_the_event_says_counts_before_what_follows_from_the_price() -> None:
    said = {"size_wad": -WAD, "price_wad": 130 * WAD, "realized_pnl_wad": 7 * WAD, "entry_price_wad": 99 * WAD}
    found = ended(opened(), change(2, Effect.CHANGE, Mode.DELTA, **said))
    assert (found.realized_pnl_wad, found.entry_price_wad) == (7 * WAD, 99 * WAD)


def test_a_loss_beyond_what_was_held_is_not_the_owners() -> None:
    taken = change(2, Effect.LIQUIDATE, exit_price_wad=60 * WAD, liquidator=OWNER, fee_wad=5 * WAD)
    found = folded("x", None, [opened(), taken])
    last = found.entries[-1]
    assert (last.realized_pnl_wad, last.fee_wad, last.transfer_wad, last.covered_wad) == (-80 * WAD, 0, 0, 30 * WAD)
    assert (last.position_pnl_wad, last.position_transfers_wad) == (-50 * WAD, 50 * WAD)


def test_funding_of_our_own_is_settled_by_the_part_that_is_given_up() -> None:
    """Two units from index 0: at 3 one is given up and owes 3; at 5 two more are added; at 9 all of it goes."""
    steps = [
        opened(indexes=Indexes(0, 0), entry_funding_index_wad=None),
        change(2, Effect.CHANGE, Mode.DELTA, size_wad=-WAD, indexes=Indexes(3 * WAD, -9 * WAD)),
        change(3, Effect.CHANGE, Mode.DELTA, size_wad=2 * WAD, indexes=Indexes(5 * WAD, -9 * WAD)),
        change(4, Effect.CLOSE, exit_price_wad=100 * WAD, indexes=Indexes(9 * WAD, -9 * WAD)),
    ]
    found = folded("x", None, steps)
    assert found.position is not None
    assert [one.funding_paid_wad for one in found.entries] == [0, 3 * WAD, 0, 17 * WAD + 1]
    # The average index, a third of 10, is rounded down: so the trader owes up to a unit more a unit of base.
    before = folded("x", None, steps[:3]).position
    assert before is not None
    assert before.entry_funding_index_wad == 10 * WAD // 3
    turned = ended(
        steps[0], change(2, Effect.CHANGE, Mode.DELTA, size_wad=-3 * WAD, indexes=Indexes(3 * WAD, -9 * WAD))
    )
    assert (turned.side, turned.entry_funding_index_wad) == (Side.SHORT, -9 * WAD)
    assert turned.accumulated_funding_wad == 6 * WAD


units = st.integers(1, 5 * WAD)
walks = st.lists(
    st.one_of(
        st.tuples(st.just("size"), st.integers(-6 * WAD, 6 * WAD), units, st.integers(0, WAD)),
        st.tuples(st.just("collateral"), st.integers(-WAD, 3 * WAD), units, st.integers(0, WAD)),
    ),
    max_size=10,
)


def walked(walk: list[tuple[str, int, int, int]], side: Side) -> Folded:
    changes = [opened(side, size=1, indexes=Indexes(0, 0))]
    for number, (what, delta, price, index) in enumerate(walk, 2):
        moved = {"size_wad": delta, "price_wad": price} if what == "size" else {"collateral_wad": delta}
        named = {**moved, "fee_wad": index // 2, "indexes": Indexes(index, -index)}
        changes.append(change(number, Effect.CHANGE, Mode.DELTA, **named))
    return folded("x", None, changes)


@given(walks, st.sampled_from(Side))
def test_equity_is_transfers_and_pnl(walk: list[tuple[str, int, int, int]], side: Side) -> None:
    """At every entry, against sums of the owner's own payments and exact profits, within the roundings."""
    found = walked(walk, side)
    assert found.position is not None
    transfers = pnl = 0
    for one in found.entries:
        transfers += one.transfer_wad
        pnl += one.realized_pnl_wad - one.funding_paid_wad - one.fee_wad + one.covered_wad
        assert (one.position_transfers_wad, one.position_pnl_wad) == (transfers, pnl)
    assert transfers + pnl == found.position.held_wad
    # What the owner paid in is what we told the walk: the opening's collateral and each change of it.
    if found.position.status is PositionStatus.OPEN:
        told = 50 * WAD + sum(delta for what, delta, _, _ in walk if what == "collateral")
        assert found.position.collateral_wad == told


@given(walks, st.sampled_from(Side))
def test_profit_is_that_of_the_trades_in_exact_fractions(walk: list[tuple[str, int, int, int]], side: Side) -> None:
    """Whatever the way: the trades' cash and the worth of what is left are what was realised and what is not yet."""
    found = walked(walk, side).position
    assert found is not None
    held, cash, trades = Fraction(side.sign), Fraction(-side.sign * 100 * WAD), 1
    for what, delta, price, _ in walk:
        if what == "size" and held != 0:
            moved = Fraction(delta, WAD) * (1 if held > 0 else -1)
            held, cash, trades = held + moved, cash - moved * price, trades + 1
    if found.status is not PositionStatus.OPEN:
        assert held == 0
        assert 0 <= cash - found.realized_pnl_wad <= 2 * trades * 20
        return
    signed = Fraction(found.side.sign * found.size_wad, WAD)
    assert signed == held
    exact = cash + signed * found.entry_price_wad
    # Each average is within a unit of price, each profit within a unit of quote; all of it against the trader.
    assert 0 <= exact - found.realized_pnl_wad <= 40 * trades


@given(walks, st.sampled_from(Side))
def test_open_interest_is_the_sum_of_what_moved(walk: list[tuple[str, int, int, int]], side: Side) -> None:
    found = walked(walk, side)
    assert found.position is not None
    longs = sum(one.long_moved_wad for one in found.entries)
    shorts = sum(one.short_moved_wad for one in found.entries)
    open_wad = found.position.open_size_wad
    assert (longs, shorts) == ((open_wad, 0) if found.position.side is Side.LONG else (0, open_wad))
    assert all(first.place < second.place for first, second in pairwise(found.entries))
