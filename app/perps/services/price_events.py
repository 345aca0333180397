"""A price has moved: the searches that depend on it are queued at once. The schedule is the net under them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from app.jobs.services.enqueue import enqueue_all
from app.jobs.types import NewJob
from app.perps.jobs import EXECUTE_ORDERS, SCAN_LIQUIDATIONS
from app.perps.queries.markets import list_markets
from app.perps.types.protocol import PerpsProtocol


def search_moved(
    session: Session, protocols: Sequence[PerpsProtocol], feeds: Collection[bytes], *, principal: str
) -> list[UUID]:
    """Queue the searches of the markets whose price these feeds are; returns the jobs. Commits with the caller, so with
    the prices themselves.

    A market by itself where only one has moved, else the protocol: one job a kind, and none while such a one waits. A
    protocol that nobody keeps has nothing to queue. O(markets).
    """
    jobs: list[NewJob] = []
    for protocol in protocols:
        keeper = protocol.section.keeper
        moved = [one.market_id for one in list_markets(session, protocol.name) if one.terms.price_feed in feeds]
        if keeper is None or not moved:
            continue
        params = {"protocol": protocol.name, "market": moved[0] if len(moved) == 1 else None}
        kinds = [SCAN_LIQUIDATIONS] if keeper.execute_order is None else [SCAN_LIQUIDATIONS, EXECUTE_ORDERS]
        jobs += [NewJob(kind=kind, params=params, principal=principal) for kind in kinds]
    return [queued for queued in enqueue_all(session, jobs) if isinstance(queued, UUID)] if jobs else []
