"""Prices as of a moment in the past."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.oracle.queries.feeds import price_of
from app.oracle.types.prices import Price

# Two index reads a feed: back from the moment as far as a price is good for, then forward to the first.
AT = text(
    """
    SELECT f.feed, p.*
    FROM unnest(CAST(:feeds AS bytea[])) AS f (feed)
    CROSS JOIN LATERAL (
        (SELECT publish_time, price, conf, expo, ema_price, ema_conf, slot, sequence FROM oracle_prices o
         WHERE o.feed = f.feed AND publish_time <= :at AND publish_time >= :oldest
           AND price > 0 AND (CAST(:max_bps AS integer) IS NULL OR conf * 10000 <= CAST(price AS numeric) * :max_bps)
         ORDER BY publish_time DESC
         LIMIT 1)
        UNION ALL
        (SELECT publish_time, price, conf, expo, ema_price, ema_conf, slot, sequence FROM oracle_prices o
         WHERE o.feed = f.feed AND publish_time > :at
           AND price > 0 AND (CAST(:max_bps AS integer) IS NULL OR conf * 10000 <= CAST(price AS numeric) * :max_bps)
         ORDER BY publish_time
         LIMIT 1)
        LIMIT 1
    ) p
    """
)


def prices_at(
    session: Session, feeds: Collection[bytes], at: datetime, *, oldest: datetime, max_bps: int | None
) -> dict[bytes, Price]:
    """Each feed's newest price in [oldest, at], else its first after `at`; only of those tight enough."""
    values = {"feeds": list(feeds), "at": at, "oldest": oldest, "max_bps": max_bps}
    return {bytes(row.feed): price_of(bytes(row.feed), row) for row in session.execute(AT, values)}
