"""A position as the fold of its events, one event at a time, in the chain's order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app.perps.maths.pnl import entry
from app.perps.maths.resize import realized_wad, resized, settled_wad
from app.perps.maths.units import WAD
from app.perps.types.changes import PositionChange
from app.perps.types.positions import Folded, Liquidation, PnlEntry, Position, PositionStatus, Side
from app.perps.types.vocabulary import Effect, Mode

_ENDS = {Effect.CLOSE: PositionStatus.CLOSED, Effect.LIQUIDATE: PositionStatus.LIQUIDATED}


def folded(protocol: str, position: Position | None, changes: Iterable[PositionChange]) -> Folded:
    """What `changes` make of the position, the liquidations among them, and what each of them did."""
    liquidations: list[Liquidation] = []
    entries: list[PnlEntry] = []
    for change in changes:
        before, position = position, _step(protocol, position, change)
        if change.effect is Effect.LIQUIDATE and before is not None and _is_liquidated(before, change):
            liquidations.append(_liquidation(before, change))
        if position is not None:
            done = entry(before, position)
            position = replace(position, net_transfers_wad=position.net_transfers_wad + done.transfer_wad)
            if not done.is_nothing:
                entries.append(done)
    return Folded(position, tuple(liquidations), tuple(entries))


def _step(protocol: str, position: Position | None, change: PositionChange) -> Position | None:
    if change.effect is Effect.OPEN:
        return _opened(protocol, position, change)
    if change.effect is Effect.TRADE:
        return _traded(protocol, position, change)
    if position is None:
        return None
    if _is_part(change) and _is_liquidated(position, change):
        return _partly_liquidated(position, change)
    if position.status is not PositionStatus.OPEN:
        return replace(position, last=change.place)
    if change.effect is Effect.CLOSE and change.size_wad is not None and change.size_wad < position.size_wad:
        return _partly_closed(position, change, change.size_wad)
    if change.effect in _ENDS:
        return _ended(position, change)
    return _changed(position, change)


def _opened(protocol: str, before: Position | None, change: PositionChange) -> Position:
    """A key that is opened again goes on in its row: what it was paid and has paid adds up over its life."""
    if change.owner is None or change.side is None or change.size_wad is None or change.entry_price_wad is None:
        raise ValueError("an opening has an owner, a side, a size and an entry price")
    index = change.entry_funding_index_wad if change.indexes is None else change.indexes.of(change.side)
    opened = Position(
        protocol=protocol,
        key=change.key,
        market_id=change.market_id,
        owner=change.owner,
        side=change.side,
        size_wad=change.size_wad,
        collateral_wad=change.collateral_wad,
        entry_price_wad=change.entry_price_wad,
        entry_funding_index_wad=index,
        exit_price_wad=None,
        realized_pnl_wad=before.realized_pnl_wad if before else 0,
        accumulated_funding_wad=before.accumulated_funding_wad if before else 0,
        fees_wad=before.fees_wad if before else 0,
        net_transfers_wad=before.net_transfers_wad if before else 0,
        status=PositionStatus.OPEN,
        opened=change.place,
        last=change.place,
    )
    return _paid(opened, change, change.fee_wad)


def _traded(protocol: str, before: Position | None, change: PositionChange) -> Position | None:
    """A signed size is added: to nothing it opens the position, past nothing it turns it, to nothing it closes it.

    The entry price is what is owed or due for the whole over its size, the exit price the trade's own; rounded down.
    """
    if (
        change.owner is None
        or change.size_wad is None
        or change.notional_wad is None
        or change.open_notional_wad is None
    ):
        raise ValueError("a trade has an owner, a size, its notional and the position's")
    is_open = before is not None and before.status is PositionStatus.OPEN
    held = before.side.sign * before.size_wad if before is not None and is_open else 0
    left = held + change.size_wad
    if before is None or not is_open:
        if left == 0:
            return before and replace(before, last=change.place)
        side = Side.LONG if left > 0 else Side.SHORT
        entry_price = abs(change.open_notional_wad) * WAD // abs(left)
        return _opened(protocol, before, replace(change, side=side, size_wad=abs(left), entry_price_wad=entry_price))
    said = replace(
        change,
        entry_price_wad=abs(change.open_notional_wad) * WAD // abs(left) if left else None,
        realized_pnl_wad=change.realized_pnl_wad or 0,
    )
    price = before.entry_price_wad
    if change.size_wad:
        price = abs(change.notional_wad) * WAD // abs(change.size_wad)
    return _charged(resized(before, said, left, price_wad=price), change, change.fee_wad)


def _is_part(change: PositionChange) -> bool:
    """A liquidation that says its size takes that part by a trade of its own."""
    return change.effect is Effect.LIQUIDATE and change.size_wad is not None


def _is_liquidated(position: Position, change: PositionChange) -> bool:
    """Open; or closed a moment before, by the trade of this very liquidation."""
    if position.status is PositionStatus.OPEN:
        return True
    same = position.last.transaction_hash == change.place.transaction_hash
    return _is_part(change) and position.status is PositionStatus.CLOSED and same


def _partly_liquidated(position: Position, change: PositionChange) -> Position:
    status = position.status if position.status is PositionStatus.OPEN else PositionStatus.LIQUIDATED
    return _paid(replace(position, status=status), change, change.fee_wad)


def _partly_closed(position: Position, change: PositionChange, size_wad: int) -> Position:
    """The rest stays open at its entry."""
    price = position.entry_price_wad if change.exit_price_wad is None else change.exit_price_wad
    left = position.side.sign * (position.size_wad - size_wad)
    return _charged(resized(_with_collateral(position, change), change, left, price_wad=price), change, change.fee_wad)


def _changed(position: Position, change: PositionChange) -> Position:
    """Without a price, a size that moves has traded at the entry's: nothing is won or lost by it."""
    position = _with_collateral(position, change)
    if change.size_wad is None:
        index, price = change.entry_funding_index_wad, change.entry_price_wad
        said = replace(
            position,
            entry_price_wad=position.entry_price_wad if price is None else price,
            entry_funding_index_wad=position.entry_funding_index_wad if index is None else index,
        )
        return _paid(said, change, change.fee_wad)
    side = change.side or position.side
    left = side.sign * change.size_wad
    if change.mode is Mode.DELTA:
        left = position.side.sign * (position.size_wad + change.size_wad)
    price = position.entry_price_wad if change.price_wad is None else change.price_wad
    return _charged(resized(position, change, left, price_wad=price), change, change.fee_wad)


def _with_collateral(position: Position, change: PositionChange) -> Position:
    """Under cross margin a position has no collateral, whatever an event says."""
    before, given = position.collateral_wad, change.collateral_wad
    if before is None or given is None:
        return position
    return replace(position, collateral_wad=before + given if change.mode is Mode.DELTA else given)


def _ended(position: Position, change: PositionChange) -> Position:
    """What it held stays to be seen; of a liquidation's fee it paid as much as its own equity covered."""
    exit_price = change.exit_price_wad
    if exit_price is None:
        raise ValueError("an end has an exit price")
    paid = replace(
        change,
        realized_pnl_wad=realized_wad(position, change, position.size_wad, exit_price),
        funding_paid_wad=settled_wad(position, change, position.size_wad),
    )
    fee = change.fee_wad
    if change.effect is Effect.LIQUIDATE and position.collateral_wad is not None:
        equity = position.collateral_wad + (paid.realized_pnl_wad or 0) - paid.funding_paid_wad
        fee = min(fee, max(equity, 0))
    ended = replace(position, status=_ENDS[change.effect], exit_price_wad=exit_price)
    return _paid(ended, paid, fee)


def _liquidation(position: Position, change: PositionChange) -> Liquidation:
    price_wad, size_wad = change.exit_price_wad, position.size_wad if change.size_wad is None else change.size_wad
    if price_wad is None and change.notional_wad is not None and size_wad > 0:
        price_wad = abs(change.notional_wad) * WAD // size_wad
    if change.liquidator is None or price_wad is None:
        raise ValueError("a liquidation has a liquidator and a price")
    taken = size_wad if change.size_wad is None else 0  # of a part its own trade has told
    return Liquidation(
        protocol=position.protocol,
        key=position.key,
        market_id=position.market_id,
        owner=position.owner,
        side=position.side,
        size_wad=size_wad,
        liquidator=change.liquidator,
        price_wad=price_wad,
        fee_wad=change.fee_wad,
        realized_pnl_wad=realized_wad(position, change, taken, price_wad),
        funding_paid_wad=settled_wad(position, change, taken),
        bad_debt_wad=change.bad_debt_wad,
        insurance_paid_wad=change.insurance_paid_wad,
        place=change.place,
    )


def _paid(position: Position, change: PositionChange, fee_wad: int) -> Position:
    paid = replace(
        position,
        realized_pnl_wad=position.realized_pnl_wad + (change.realized_pnl_wad or 0),
        accumulated_funding_wad=position.accumulated_funding_wad + change.funding_paid_wad,
    )
    return _charged(paid, change, fee_wad)


def _charged(position: Position, change: PositionChange, fee_wad: int) -> Position:
    return replace(position, fees_wad=position.fees_wad + fee_wad, last=change.place)
