"""The price history and its candles, and the write that adds to them and moves the latest price on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.oracle.maths.price import as_decimal
from app.oracle.queries.feeds import price_of
from app.oracle.types.prices import Candle, Interval, Price

# History, candles and latest price in one statement: none can exist without the others. A price that the history has
# already stays as it is there and adds nothing to a candle; one that is older than the latest leaves that as it is. So
# a candle is the same whatever order its prices come in: O(1) work for each price and interval.
RECORD = text(
    """
    WITH fresh AS (
        SELECT decode(p.feed, 'hex') AS feed, p.publish_time, p.price, p.conf, p.expo, p.ema_price, p.ema_conf,
               p.slot, p.sequence, p.value
        FROM jsonb_to_recordset(CAST(:prices AS jsonb)) AS p(
            feed text, publish_time timestamptz, price bigint, conf numeric, expo int, ema_price bigint,
            ema_conf numeric, slot numeric, sequence numeric, value numeric)
    ), history AS (
        INSERT INTO oracle_prices (feed, publish_time, price, conf, expo, ema_price, ema_conf, slot, sequence)
        SELECT feed, publish_time, price, conf, expo, ema_price, ema_conf, slot, sequence FROM fresh
        ON CONFLICT (feed, publish_time) DO NOTHING
        RETURNING feed, publish_time
    ), ticks AS (
        SELECT fresh.feed, i.seconds, fresh.publish_time, fresh.value,
               date_bin(make_interval(secs => i.seconds), fresh.publish_time, TIMESTAMPTZ '1970-01-01 00:00:00+00')
                   AS opened_at
        FROM fresh JOIN history USING (feed, publish_time)
        CROSS JOIN unnest(CAST(:intervals AS int[])) AS i(seconds)
    ), candles AS (
        INSERT INTO oracle_candles AS c
            (feed, interval_seconds, opened_at, open, high, low, close, first_at, last_at, ticks)
        SELECT feed, seconds, opened_at, (array_agg(value ORDER BY publish_time))[1], max(value), min(value),
               (array_agg(value ORDER BY publish_time DESC))[1], min(publish_time), max(publish_time), count(*)
        FROM ticks GROUP BY feed, seconds, opened_at
        ON CONFLICT (feed, interval_seconds, opened_at) DO UPDATE SET
            open = CASE WHEN excluded.first_at < c.first_at THEN excluded.open ELSE c.open END,
            close = CASE WHEN excluded.last_at > c.last_at THEN excluded.close ELSE c.close END,
            high = greatest(c.high, excluded.high),
            low = least(c.low, excluded.low),
            first_at = least(c.first_at, excluded.first_at),
            last_at = greatest(c.last_at, excluded.last_at),
            ticks = c.ticks + excluded.ticks
    )
    UPDATE oracle_feeds AS f
    SET price = fresh.price, conf = fresh.conf, expo = fresh.expo, publish_time = fresh.publish_time,
        ema_price = fresh.ema_price, ema_conf = fresh.ema_conf, slot = fresh.slot, sequence = fresh.sequence
    FROM fresh
    WHERE f.id = fresh.feed AND (f.publish_time IS NULL OR f.publish_time < fresh.publish_time)
    """
)
INTERVALS = [interval.seconds for interval in Interval]

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

# The same walk, over the key of one feed and interval.
CANDLES = text(
    """
    SELECT opened_at, open, high, low, close, ticks
    FROM oracle_candles
    WHERE feed = :feed AND interval_seconds = :seconds AND opened_at >= :start AND opened_at < :end
    ORDER BY opened_at DESC
    LIMIT :limit
    """
)

# What held at `start` began before it.
LAST_BEFORE = text(
    """
    SELECT publish_time, price, conf, expo, ema_price, ema_conf, slot, sequence
    FROM oracle_prices
    WHERE feed = :feed AND publish_time >= :since AND publish_time <= :start
    ORDER BY publish_time DESC
    LIMIT 1
    """
)


def record_prices(session: Session, prices: Sequence[Price]) -> None:
    """Add the prices to the history and its candles, and make those that are newer the latest; of a feed at most one.

    The caller holds the feeds' rows. O(prices), one round trip.
    """
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
            "value": format(as_decimal(price.price, price.expo), "f"),
        }
        for price in prices
    ]
    session.execute(RECORD, {"prices": json.dumps(rows), "intervals": INTERVALS})


def list_history(session: Session, feed: bytes, start: datetime, end: datetime, limit: int) -> Sequence[Price]:
    """A feed's prices with start ≤ publish time < end, newest first. O(limit + partitions)."""
    rows = session.execute(HISTORY, {"feed": feed, "start": start, "end": end, "limit": limit})
    return [price_of(feed, row) for row in rows]


def list_candles(
    session: Session, feed: bytes, interval: Interval, start: datetime, end: datetime, limit: int
) -> Sequence[Candle]:
    """A feed's candles with start ≤ opened_at < end, newest first. O(limit + partitions)."""
    rows = session.execute(
        CANDLES, {"feed": feed, "seconds": interval.seconds, "start": start, "end": end, "limit": limit}
    )
    return [
        Candle(opened_at=row.opened_at, open=row.open, high=row.high, low=row.low, close=row.close, ticks=row.ticks)
        for row in rows
    ]


def find_last_before(session: Session, feed: bytes, since: datetime, start: datetime) -> Price | None:
    """The newest price with since ≤ publish time ≤ start."""
    row = session.execute(LAST_BEFORE, {"feed": feed, "since": since, "start": start}).one_or_none()
    return None if row is None else price_of(feed, row)
