"""Positions that are made of trades, and funding that is made of premiums: pure folds, beside exact arithmetic."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from app.perps.maths.fold import folded
from app.perps.maths.premium import settlements
from app.perps.maths.units import WAD
from app.perps.types.changes import PositionChange, Premium
from app.perps.types.positions import Place, PositionStatus, Side
from app.perps.types.vocabulary import Effect, Mode

DAY = 86_400
START = datetime(2026, 1, 1, tzinfo=UTC)


def place(number: int, index: int = 0) -> Place:
    """A place in block `number`, each in a transaction of its own but for its index."""
    return Place(number, index, b"\x01" * 32, number.to_bytes(32, "big"), START + timedelta(hours=number))


def trade(number: int, size: int, open_notional: int, *, price: int = 100, pnl: int = 0) -> PositionChange:
    """A trade of whole units."""
    return PositionChange(
        key="a:b",
        market_id="b",
        effect=Effect.TRADE,
        mode=Mode.ABSOLUTE,
        place=place(number),
        owner=b"\xaa" * 20,
        size_wad=size * WAD,
        notional_wad=-size * price * WAD,
        open_notional_wad=open_notional * WAD,
        realized_pnl_wad=pnl * WAD,
        fee_wad=WAD,
    )


def taken(number: int, size: int) -> PositionChange:
    """A liquidation of a part, in the transaction of the block's trade."""
    return PositionChange(
        key="a:b",
        market_id="b",
        effect=Effect.LIQUIDATE,
        mode=Mode.ABSOLUTE,
        place=place(number, 1),
        size_wad=size * WAD,
        notional_wad=size * 90 * WAD,
        liquidator=b"\xbb" * 20,
        fee_wad=2 * WAD,
    )


def test_a_trade_opens_adds_turns_and_closes() -> None:
    opened = folded("x", None, [trade(1, 2, -200)]).position
    assert opened is not None
    assert (opened.side, opened.size_wad, opened.entry_price_wad) == (Side.LONG, 2 * WAD, 100 * WAD)
    assert (opened.collateral_wad, opened.status) == (None, PositionStatus.OPEN)
    more = folded("x", opened, [trade(2, 2, -420, price=110)]).position
    assert more is not None
    assert (more.side, more.size_wad, more.entry_price_wad) == (Side.LONG, 4 * WAD, 105 * WAD)
    turned = folded("x", more, [trade(3, -5, 120, price=120, pnl=60)]).position
    assert turned is not None
    assert (turned.side, turned.size_wad, turned.entry_price_wad) == (Side.SHORT, WAD, 120 * WAD)
    assert (turned.status, turned.opened, turned.realized_pnl_wad) == (PositionStatus.OPEN, place(3), 60 * WAD)
    closed = folded("x", turned, [trade(4, 1, 0, price=115, pnl=5)]).position
    assert closed is not None
    assert (closed.status, closed.exit_price_wad, closed.size_wad) == (PositionStatus.CLOSED, 115 * WAD, WAD)
    assert (closed.realized_pnl_wad, closed.fees_wad) == (65 * WAD, 4 * WAD)
    again = folded("x", closed, [trade(5, -3, 300)]).position
    assert again is not None
    assert (again.side, again.size_wad, again.opened) == (Side.SHORT, 3 * WAD, place(5))
    assert (again.exit_price_wad, again.realized_pnl_wad) == (None, 65 * WAD)


def test_nothing_of_nothing_is_nothing() -> None:
    assert folded("x", None, [trade(1, 0, 0)]).position is None
    closed = folded("x", None, [trade(1, 2, -200), trade(2, -2, 0)]).position
    assert closed is not None
    assert folded("x", closed, [trade(3, 0, 0)]).position == replace(closed, last=place(3))


def test_a_part_that_is_liquidated_leaves_the_rest_and_the_whole_leaves_nothing() -> None:
    part = folded("x", None, [trade(1, 4, -400), trade(2, -1, -300, price=90), taken(2, 1)])
    assert part.position is not None
    assert (part.position.status, part.position.size_wad) == (PositionStatus.OPEN, 3 * WAD)
    assert part.position.fees_wad == 4 * WAD
    (liquidation,) = part.liquidations
    assert (liquidation.size_wad, liquidation.price_wad, liquidation.fee_wad) == (WAD, 90 * WAD, 2 * WAD)
    whole = folded("x", part.position, [trade(3, -3, 0, price=90), taken(3, 3)])
    assert whole.position is not None
    assert (whole.position.status, whole.position.exit_price_wad) == (PositionStatus.LIQUIDATED, 90 * WAD)
    assert [one.size_wad for one in whole.liquidations] == [3 * WAD]
    late = folded("x", whole.position, [taken(4, 1)])
    assert late.liquidations == ()
    gone = folded("x", None, [trade(1, 4, -400), trade(2, -4, 0), taken(4, 1)])
    assert (gone.liquidations, gone.position and gone.position.status) == ((), PositionStatus.CLOSED)


@given(st.lists(st.integers(-5, 5), max_size=12))
def test_the_size_is_the_sum_of_the_trades(sizes: list[int]) -> None:
    found = folded("x", None, [trade(number, size, -7) for number, size in enumerate(sizes)]).position
    total = sum(sizes)
    if found is None or total == 0:
        assert total == 0
        assert found is None or found.status is PositionStatus.CLOSED
    else:
        assert (found.side.sign * found.size_wad, found.status) == (total * WAD, PositionStatus.OPEN)


def premium(number: int, market: int, index: int) -> Premium:
    return Premium(market_id="b", place=place(number), market_price_wad=market * WAD, price_wad=index * WAD)


def test_premiums_add_up_by_the_time_between_them() -> None:
    """An hour at 24 above the index is worth 1 a unit; what is beyond a tenth of the index counts as that."""
    said = [premium(1, 500, 480), premium(2, 504, 480), premium(3, 480, 504), premium(5, 960, 480)]
    found = settlements(said, {}, period_seconds=DAY, max_rate=Decimal("0.1"))
    assert [(one.elapsed_seconds, one.long_index_wad) for one in found] == [
        (0, 0),
        (3600, WAD),
        (3600, 0),
        (7200, 4 * WAD),
    ]
    assert [one.short_index_wad for one in found] == [-one.long_index_wad for one in found]
    assert found[3].rate_wad == 48 * WAD // (480 * DAY)
    unbounded = settlements(said[:1], {"b": found[2]}, period_seconds=DAY, max_rate=None)
    assert unbounded == []  # it is settled already
    (wide,) = settlements([premium(5, 960, 480)], {"b": found[2]}, period_seconds=DAY, max_rate=None)
    assert wide.long_index_wad == 40 * WAD
