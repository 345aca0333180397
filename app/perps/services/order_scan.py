"""A price tick for orders: one range scan a market, kind and side, in exact integers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.perps.maths.orders import deciding_wad
from app.perps.queries.order_candidates import Reach, find_reached
from app.perps.types.health import MarketView
from app.perps.types.orders import Order, OrderKind
from app.perps.types.positions import Place, Side


@dataclass(frozen=True, slots=True)
class Triggered:
    """The orders whose price has come, in the order they are to be executed; `cut`: there were more."""

    found: tuple[Order, ...]
    cut: bool


def scan_orders(
    session: Session,
    protocol: str,
    views: Sequence[MarketView],
    *,
    opening: Collection[str],
    limit: int,
    now: datetime,
    busy: Collection[str] = (),
) -> Triggered:
    """The protocol's orders whose price has come and is acceptable: those that close before those that open, then the
    oldest first. At most `limit`. Limit orders only of the `opening` markets, whose price is good enough for that.

    Orders that have expired, whose position has ended, in backoff at `now`, and the `busy` ones, are passed over.
    O(markets · log open + found, and those passed over).
    """
    ranges = [
        Reach(view.market_id, kind, side, deciding_wad(kind, side, view), view.price_wad)
        for view in views
        for kind in OrderKind
        for side in Side
        if kind is not OrderKind.LIMIT or view.market_id in opening
    ]
    found = find_reached(session, protocol, ranges, limit=limit + 1, busy=busy, now=now)
    found.sort(key=turn_of)
    return Triggered(tuple(found[:limit]), len(found) > limit)


def turn_of(order: Order) -> tuple[bool, Place, str]:
    """Sorts what protects a trader first, then the oldest; the key makes the order the same every time."""
    return order.kind is OrderKind.LIMIT, order.created, order.key
