"""The scan: which open positions a price endangers. The hot statement of the feature."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.perps.queries.positions import as_position
from app.perps.types.positions import Position, Side


class Bound(NamedTuple):
    """Where a range begins: positions of the market, side and margin tier whose key is at or above `bound`."""

    market_id: str
    side: Side
    tier: int
    bound: float


# One ordered, limited index range a (market, side, tier): O(ranges · log open + found), whatever the number of
# positions. The ORDER BY ... LIMIT must stay inside LATERAL: joined in one go, the planner reads the whole table.
# Positions in backoff, and those whose liquidation is under way, are passed over before the limit counts.
CANDIDATES = text(
    """
    SELECT p.*
    FROM unnest(CAST(:market_ids AS text[]), CAST(:sides AS text[]), CAST(:tiers AS smallint[]),
                CAST(:bounds AS double precision[])) AS b (market_id, side, tier, bound)
    CROSS JOIN LATERAL (
        SELECT c.*
        FROM perps_positions c
        WHERE c.protocol = :protocol AND c.market_id = b.market_id AND c.side = b.side AND c.tier = b.tier
          AND c.status = 'open' AND c.trigger_key >= b.bound
          AND c.key <> ALL (CAST(:busy AS text[]))
          AND NOT EXISTS (
              SELECT FROM perps_keeper_backoffs k
              WHERE k.protocol = c.protocol AND k.action = 'liquidate' AND k.key = c.key AND k.until > :now
          )
        ORDER BY c.trigger_key DESC
        LIMIT :limit
    ) p
    """
)


def find_candidates(
    session: Session,
    protocol: str,
    bounds: Sequence[Bound],
    *,
    limit: int,
    busy: Collection[str],
    now: datetime | None,
) -> list[Position]:
    """At most `limit` positions a range, those of the highest keys; `busy` are keys to pass over, and so are those
    in backoff at `now`; None: none is in backoff.
    """
    values = {
        "protocol": protocol,
        "market_ids": [bound.market_id for bound in bounds],
        "sides": [str(bound.side) for bound in bounds],
        "tiers": [bound.tier for bound in bounds],
        "bounds": [bound.bound for bound in bounds],
        "limit": limit,
        "busy": list(busy),
        "now": now,
    }
    return [as_position(row) for row in session.execute(CANDIDATES, values)]
