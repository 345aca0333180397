"""A position whose size moves: part is added or given up, all of it is given up, or it turns to the other side.

What is added averages the entry; what is given up realises its part of profit and funding; a position that turns is one
that closes and another that opens. Prices and indexes of averages, and every payment, are rounded against the trader.
"""

from __future__ import annotations

from dataclasses import replace

from app.perps.maths.units import WAD, divide_up
from app.perps.types.changes import PositionChange
from app.perps.types.positions import Position, PositionStatus, Side


def resized(position: Position, change: PositionChange, left_wad: int, *, price_wad: int) -> Position:
    """The open position after it has traded at `price_wad` to a signed size of `left_wad`.

    What the event itself says of the entry and of the profit counts before what follows from the price.
    """
    left = left_wad * position.side.sign  # above nothing: on the same side
    given_up = position.size_wad - max(0, min(left, position.size_wad))
    after = replace(
        position,
        realized_pnl_wad=position.realized_pnl_wad + realized_wad(position, change, given_up, price_wad),
        accumulated_funding_wad=position.accumulated_funding_wad + settled_wad(position, change, given_up),
    )
    if left == 0:
        return replace(after, status=PositionStatus.CLOSED, exit_price_wad=price_wad)
    if left < 0:
        return _turned(after, change, -left, price_wad)
    return _kept(after, change, left, price_wad)


def realized_wad(position: Position, change: PositionChange, given_up_wad: int, price_wad: int) -> int:
    """The profit taken: what the event says, or what that part has won at the price; rounded down."""
    if change.realized_pnl_wad is not None:
        return change.realized_pnl_wad
    return position.side.sign * given_up_wad * (price_wad - position.entry_price_wad) // WAD


def settled_wad(position: Position, change: PositionChange, given_up_wad: int) -> int:
    """The funding paid: what the event says, and where we settle it ourselves, what that part owes; rounded up."""
    if change.indexes is None or position.entry_funding_index_wad is None:
        return change.funding_paid_wad
    growth = change.indexes.of(position.side) - position.entry_funding_index_wad
    return change.funding_paid_wad + divide_up(given_up_wad * growth, WAD)


def _turned(after: Position, change: PositionChange, size_wad: int, price_wad: int) -> Position:
    side = Side.SHORT if after.side is Side.LONG else Side.LONG
    index = after.entry_funding_index_wad if change.indexes is None else change.indexes.of(side)
    return replace(
        after,
        side=side,
        size_wad=size_wad,
        entry_price_wad=price_wad if change.entry_price_wad is None else change.entry_price_wad,
        entry_funding_index_wad=index if change.entry_funding_index_wad is None else change.entry_funding_index_wad,
        opened=change.place,
    )


def _kept(after: Position, change: PositionChange, size_wad: int, price_wad: int) -> Position:
    held, added = after.size_wad, max(0, size_wad - after.size_wad)
    entry, index = change.entry_price_wad, change.entry_funding_index_wad
    if entry is None:
        paid = held * after.entry_price_wad + added * price_wad
        average = divide_up(paid, size_wad) if after.side is Side.LONG else paid // size_wad
        entry = average if added else after.entry_price_wad
    if index is None:
        index = after.entry_funding_index_wad
        if added and index is not None and change.indexes is not None:
            index = (held * index + added * change.indexes.of(after.side)) // size_wad
    return replace(after, size_wad=size_wad, entry_price_wad=entry, entry_funding_index_wad=index)
