"""The price history, and the write that adds to it and moves the latest price on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.oracle.queries.feeds import price_of
from app.oracle.types.prices import Price

# History and latest price in one statement: neither can exist without the other. The caller holds the feeds' rows and
# has left out what is not newer; a row that is there already stays as it is.
RECORD = text(
    """
    WITH fresh AS (
        SELECT decode(p.feed, 'hex') AS feed, p.publish_time, p.price, p.conf, p.expo, p.ema_price, p.ema_conf,
               p.slot, p.sequence
        FROM jsonb_to_recordset(CAST(:prices AS jsonb)) AS p(
            feed text, publish_time timestamptz, price bigint, conf numeric, expo int, ema_price bigint,
            ema_conf numeric, slot numeric, sequence numeric)
    ), history AS (
        INSERT INTO oracle_prices (feed, publish_time, price, conf, expo, ema_price, ema_conf, slot, sequence)
        SELECT feed, publish_time, price, conf, expo, ema_price, ema_conf, slot, sequence FROM fresh
        ON CONFLICT (feed, publish_time) DO NOTHING
    )
    UPDATE oracle_feeds AS f
    SET price = fresh.price, conf = fresh.conf, expo = fresh.expo, publish_time = fresh.publish_time,
        ema_price = fresh.ema_price, ema_conf = fresh.ema_conf, slot = fresh.slot, sequence = fresh.sequence
    FROM fresh
    WHERE f.id = fresh.feed
    """
)

# Newest first, one index range a partition. Both ends are given, so that the planner leaves other months out.
HISTORY = text(
    """
    SELECT publish_time, price, conf, expo, ema_price, ema_conf, slot, sequence
    FROM oracle_prices
    WHERE feed = :feed AND publish_time >= :start AND publish_time < :end
    ORDER BY publish_time DESC
    LIMIT :limit
    """
)


def record_prices(session: Session, prices: Sequence[Price]) -> None:
    """Add the prices to the history and make them the latest. O(prices), one round trip."""
    rows = [
        {
            "feed": price.feed.hex(),
            "publish_time": price.publish_time.isoformat(),
            "price": price.price,
            "conf": price.conf,
            "expo": price.expo,
            "ema_price": price.ema_price,
            "ema_conf": price.ema_conf,
            "slot": price.slot,
            "sequence": price.sequence,
        }
        for price in prices
    ]
    session.execute(RECORD, {"prices": json.dumps(rows)})


def list_history(session: Session, feed: bytes, start: datetime, end: datetime, limit: int) -> Sequence[Price]:
    """A feed's prices with start ≤ publish time < end, newest first. O(limit + partitions)."""
    rows = session.execute(HISTORY, {"feed": feed, "start": start, "end": end, "limit": limit})
    return [price_of(feed, row) for row in rows]
