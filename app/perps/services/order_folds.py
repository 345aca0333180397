"""Folding events into conditional orders: an order has few events, so it is always folded from its first."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session

from app.chain.services.stored_events import read_events
from app.perps.maths.order_fold import folded_order
from app.perps.queries import folded_events, orders
from app.perps.queries.folded_events import Entity
from app.perps.services.reading import read_changes
from app.perps.types.changes import OrderChange
from app.perps.types.protocol import PerpsProtocol


def fold_orders(session: Session, protocol: PerpsProtocol, changes: Sequence[OrderChange]) -> None:
    """Fold in `changes`, in whatever order they come; one known already changes nothing. O(changes)."""
    new = folded_events.add(session, protocol.name, Entity.ORDER, [(one.key, one.place) for one in changes])
    fold_orders_again(session, protocol, {key for key, _, _ in new})


def fold_orders_again(session: Session, protocol: PerpsProtocol, keys: Collection[str]) -> None:
    """Fold these orders from the events that are left of them; one that was never created after all is deleted."""
    if not keys:
        return
    places = folded_events.places_of(session, protocol.name, Entity.ORDER, keys)
    events = read_events(session, protocol.contract_set, (place for found in places.values() for place in found))
    by_key: dict[str, list[OrderChange]] = {key: [] for key in keys}
    for change in read_changes(protocol, events).orders:
        by_key[change.key].append(change)
    folds = {key: folded_order(protocol.name, None, changes) for key, changes in by_key.items()}
    orders.write(session, [order for order in folds.values() if order is not None])
    orders.remove(session, protocol.name, [key for key, order in folds.items() if order is None])
