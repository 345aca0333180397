"""The perps' domain events: what a fold has changed, told in its transaction.

Topics: `markets` by market, `positions:<owner>` by position, `liquidations`. A reorg takes back what it has told: a
position that was never opened ends as `removed`, and so does a liquidation.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.core.events import NewEvent, Standing, emit_all
from app.perps.services.shown import show_liquidation, show_recorded_market, show_recorded_position
from app.perps.types.markets import Market
from app.perps.types.positions import Folded, Liquidation, Position, PositionStatus

REMOVED = "removed"


def tell_markets(
    session: Session, known: Mapping[str, Market], folded: Sequence[Market], gone: Collection[Market]
) -> None:
    """Tell of the markets that are not what they were, and of those that were never listed after all."""
    changed = [market for market in folded if market != known.get(market.market_id)]
    events = [_market(market, show_recorded_market(market), Standing.STATE) for market in changed]
    emit_all(session, [*events, *(_market(market, {"status": REMOVED}, Standing.END) for market in gone)])


def tell_positions(
    session: Session,
    before: Mapping[str, Position],
    folds: Mapping[str, Folded],
    taken_back: Collection[Liquidation],
) -> None:
    """Tell of the positions that are not what they were, and of the liquidations that came or, in a reorg, went."""
    emit_all(session, [*_positions(before, folds), *_liquidations(folds, taken_back)])


def _market(market: Market, shown: Mapping[str, Any], standing: Standing) -> NewEvent:
    named = {"protocol": market.protocol, "market_id": market.market_id}
    return NewEvent("markets", f"{market.protocol}:{market.market_id}", {**named, **shown}, standing)


def _positions(before: Mapping[str, Position], folds: Mapping[str, Folded]) -> Iterator[NewEvent]:
    for key, fold in folds.items():
        old, new = before.get(key), fold.position
        if old is not None and (new is None or new.owner != old.owner):
            named = {"protocol": old.protocol, "key": key, "market_id": old.market_id}
            yield _position(old, {**named, "status": REMOVED}, Standing.END)
        if new is not None and new != old:
            is_open = new.status is PositionStatus.OPEN
            yield _position(new, show_recorded_position(new), Standing.STATE if is_open else Standing.END)


def _position(position: Position, shown: Mapping[str, Any], standing: Standing) -> NewEvent:
    return NewEvent(f"positions:0x{position.owner.hex()}", f"{position.protocol}:{position.key}", shown, standing)


def _liquidations(folds: Mapping[str, Folded], taken_back: Collection[Liquidation]) -> Iterator[NewEvent]:
    present = dict.fromkeys(one for fold in folds.values() for one in fold.liquidations)
    for one in taken_back:
        if one not in present:
            yield _liquidation(one, removed=True)
    known = frozenset(taken_back)
    for one in present:
        if one not in known:
            yield _liquidation(one, removed=False)


def _liquidation(one: Liquidation, *, removed: bool) -> NewEvent:
    subject = f"{one.protocol}:{one.place.block_number}:{one.place.log_index}"
    return NewEvent("liquidations", subject, {**show_liquidation(one), REMOVED: removed})
