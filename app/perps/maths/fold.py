"""A position as the fold of its events, one event at a time, in the chain's order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app.perps.maths.units import WAD
from app.perps.types.changes import PositionChange
from app.perps.types.positions import Folded, Liquidation, Position, PositionStatus, Side
from app.perps.types.vocabulary import Effect, Mode

_ENDS = {Effect.CLOSE: PositionStatus.CLOSED, Effect.LIQUIDATE: PositionStatus.LIQUIDATED}


def folded(protocol: str, position: Position | None, changes: Iterable[PositionChange]) -> Folded:
    """What `changes` make of the position, and the liquidations among them."""
    liquidations: list[Liquidation] = []
    for change in changes:
        if change.effect is Effect.LIQUIDATE and position is not None and _is_liquidated(position, change):
            liquidations.append(_liquidation(position, change))
        position = _step(protocol, position, change)
    return Folded(position, tuple(liquidations))


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
    if change.effect in _ENDS:
        return _ended(position, change)
    return _paid(_changed(position, change), change, change.fee_wad)


def _opened(protocol: str, before: Position | None, change: PositionChange) -> Position:
    """A key that is opened again goes on in its row: what it was paid and has paid adds up over its life."""
    if change.owner is None or change.side is None or change.size_wad is None or change.entry_price_wad is None:
        raise ValueError("an opening has an owner, a side, a size and an entry price")
    opened = Position(
        protocol=protocol,
        key=change.key,
        market_id=change.market_id,
        owner=change.owner,
        side=change.side,
        size_wad=change.size_wad,
        collateral_wad=change.collateral_wad,
        entry_price_wad=change.entry_price_wad,
        entry_funding_index_wad=change.entry_funding_index_wad,
        exit_price_wad=None,
        realized_pnl_wad=before.realized_pnl_wad if before else 0,
        accumulated_funding_wad=before.accumulated_funding_wad if before else 0,
        fees_wad=before.fees_wad if before else 0,
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
    if left == 0:
        if before is None or not is_open:
            return before and replace(before, last=change.place)
        exit_price = (
            abs(change.notional_wad) * WAD // abs(change.size_wad) if change.size_wad else before.entry_price_wad
        )
        ended = replace(before, status=PositionStatus.CLOSED, exit_price_wad=exit_price)
        return _paid(ended, change, change.fee_wad)
    side = Side.LONG if left > 0 else Side.SHORT
    entry_price = abs(change.open_notional_wad) * WAD // abs(left)
    if before is not None and is_open:
        moved = replace(before, side=side, size_wad=abs(left), entry_price_wad=entry_price)
        return _paid(moved, change, change.fee_wad)
    return _opened(protocol, before, replace(change, side=side, size_wad=abs(left), entry_price_wad=entry_price))


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


def _changed(position: Position, change: PositionChange) -> Position:
    delta = change.mode is Mode.DELTA
    return replace(
        position,
        # Less than nothing is left only while an earlier event is missing; with it the position is folded again.
        size_wad=max(0, _moved(position.size_wad, change.size_wad, delta)),
        collateral_wad=_moved_collateral(position.collateral_wad, change.collateral_wad, delta),
        entry_price_wad=position.entry_price_wad if change.entry_price_wad is None else change.entry_price_wad,
        entry_funding_index_wad=(
            position.entry_funding_index_wad
            if change.entry_funding_index_wad is None
            else change.entry_funding_index_wad
        ),
    )


def _moved(before: int, given: int | None, delta: bool) -> int:
    if given is None:
        return before
    return before + given if delta else given


def _moved_collateral(before: int | None, given: int | None, delta: bool) -> int | None:
    """Under cross margin a position has no collateral, whatever an event says."""
    return None if before is None else _moved(before, given, delta)


def _ended(position: Position, change: PositionChange) -> Position:
    """What it held stays to be seen; of a liquidation's fee it paid as much as its own equity covered."""
    fee = change.fee_wad
    if change.effect is Effect.LIQUIDATE and position.collateral_wad is not None:
        equity = position.collateral_wad + change.realized_pnl_wad - change.funding_paid_wad
        fee = min(fee, max(equity, 0))
    ended = replace(position, status=_ENDS[change.effect], exit_price_wad=change.exit_price_wad)
    return _paid(ended, change, fee)


def _liquidation(position: Position, change: PositionChange) -> Liquidation:
    price_wad, size_wad = change.exit_price_wad, position.size_wad if change.size_wad is None else change.size_wad
    if price_wad is None and change.notional_wad is not None and size_wad > 0:
        price_wad = abs(change.notional_wad) * WAD // size_wad
    if change.liquidator is None or price_wad is None:
        raise ValueError("a liquidation has a liquidator and a price")
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
        realized_pnl_wad=change.realized_pnl_wad,
        funding_paid_wad=change.funding_paid_wad,
        bad_debt_wad=change.bad_debt_wad,
        insurance_paid_wad=change.insurance_paid_wad,
        place=change.place,
    )


def _paid(position: Position, change: PositionChange, fee_wad: int) -> Position:
    return replace(
        position,
        realized_pnl_wad=position.realized_pnl_wad + change.realized_pnl_wad,
        accumulated_funding_wad=position.accumulated_funding_wad + change.funding_paid_wad,
        fees_wad=position.fees_wad + fee_wad,
        last=change.place,
    )
