"""A position as the fold of its events, one event at a time, in the chain's order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from app.perps.types.changes import PositionChange
from app.perps.types.positions import Folded, Liquidation, Position, PositionStatus
from app.perps.types.vocabulary import Effect, Mode

_ENDS = {Effect.CLOSE: PositionStatus.CLOSED, Effect.LIQUIDATE: PositionStatus.LIQUIDATED}


def folded(protocol: str, position: Position | None, changes: Iterable[PositionChange]) -> Folded:
    """What `changes` make of the position, and the liquidations among them."""
    liquidations: list[Liquidation] = []
    for change in changes:
        if change.effect is Effect.LIQUIDATE and position is not None and position.status is PositionStatus.OPEN:
            liquidations.append(_liquidation(position, change))
        position = _step(protocol, position, change)
    return Folded(position, tuple(liquidations))


def _step(protocol: str, position: Position | None, change: PositionChange) -> Position | None:
    if change.effect is Effect.OPEN:
        return _opened(protocol, position, change)
    if position is None:
        return None
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


def _changed(position: Position, change: PositionChange) -> Position:
    delta = change.mode is Mode.DELTA
    return replace(
        position,
        size_wad=_moved(position.size_wad, change.size_wad, delta),
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
    if change.liquidator is None or change.exit_price_wad is None:
        raise ValueError("a liquidation has a liquidator and a price")
    return Liquidation(
        protocol=position.protocol,
        key=position.key,
        market_id=position.market_id,
        owner=position.owner,
        side=position.side,
        size_wad=position.size_wad,
        liquidator=change.liquidator,
        price_wad=change.exit_price_wad,
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
