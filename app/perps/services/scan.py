"""A price tick: one range scan a market and side, then exact integers on what it brought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.perps.maths.health import judge, scan_bound
from app.perps.queries.candidates import Bound, find_candidates
from app.perps.types.health import Candidates, Health, MarketView, Verdict
from app.perps.types.positions import Side

TIER = 0  # every position of a market keeps the same margin


def scan(
    session: Session,
    protocol: str,
    views: Sequence[MarketView],
    *,
    limit: int,
    now: datetime | None,
    busy: Collection[str] = (),
) -> Candidates:
    """The positions of the protocol that are liquidatable somewhere in their price's interval, the most urgent first:
    by what their equity lacks, then by size. At most `limit`, and at most that many a market and side are looked at.

    Positions in backoff at `now` (None: none is), and the `busy` ones, are passed over. O(markets · log open + found).
    """
    by_market = {view.market_id: view for view in views}
    bounds = [Bound(view.market_id, side, TIER, scan_bound(view, side)) for view in views for side in Side]
    found = find_candidates(session, protocol, bounds, limit=limit + 1, busy=busy, now=now)
    looked_at = Counter((position.market_id, position.side) for position in found)
    endangered: list[Health] = []
    for position in found:
        holding = position.holding
        if holding is not None:
            health = judge(position, holding, by_market[position.market_id])
            if health.verdict is not Verdict.SAFE:
                endangered.append(health)
    endangered.sort(key=urgency)
    cut = len(endangered) > limit or any(count > limit for count in looked_at.values())
    return Candidates(tuple(endangered[:limit]), cut)


def urgency(health: Health) -> tuple[int, int, str]:
    """Sorts the most urgent first; the key makes the order the same every time."""
    return -health.shortfall_wad, -health.position.size_wad, health.position.key
