"""Feeds, each with its latest price in the same row."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.oracle.types.prices import Feed, FeedPrice, Price

SELECT_FEEDS = """
    SELECT id, symbol, source, price, conf, expo, publish_time, ema_price, ema_conf, slot, sequence
    FROM oracle_feeds
"""
ALL = text(SELECT_FEEDS + " ORDER BY symbol")
BY_NAME = text(SELECT_FEEDS + " WHERE id = ANY(CAST(:ids AS bytea[])) OR symbol = ANY(:symbols) ORDER BY symbol")

UPSERT = text(
    """
    INSERT INTO oracle_feeds AS f (id, symbol, source) VALUES (:id, :symbol, :source)
    ON CONFLICT (id) DO UPDATE SET symbol = excluded.symbol, source = excluded.source
        WHERE (f.symbol, f.source) IS DISTINCT FROM (excluded.symbol, excluded.source)
    """
)

# In the order of the ids, so that two refreshes at once wait for each other instead of deadlocking.
LOCK = text("SELECT id, publish_time FROM oracle_feeds WHERE id = ANY(CAST(:ids AS bytea[])) ORDER BY id FOR UPDATE")


def list_feeds(session: Session) -> Sequence[FeedPrice]:
    """Every feed by symbol. O(feeds)."""
    return [_feed_price(row) for row in session.execute(ALL)]


def find_feeds(session: Session, ids: Collection[bytes], symbols: Collection[str]) -> Sequence[FeedPrice]:
    """The feeds with these ids or symbols; those that do not exist are left out. O(names)."""
    return [_feed_price(row) for row in session.execute(BY_NAME, {"ids": list(ids), "symbols": list(symbols)})]


def upsert_feed(session: Session, feed: Feed) -> None:
    """Add a feed, or rename it; raises IntegrityError when another one has its symbol."""
    session.execute(UPSERT, {"id": feed.id, "symbol": feed.symbol, "source": feed.source})


def lock_feeds(session: Session, ids: Collection[bytes]) -> Mapping[bytes, datetime | None]:
    """Lock the rows until the transaction ends; the latest publish time of each."""
    return {bytes(row.id): row.publish_time for row in session.execute(LOCK, {"ids": list(ids)})}


def _feed_price(row: Row[Any]) -> FeedPrice:
    feed = Feed(bytes(row.id), row.symbol, row.source)
    return FeedPrice(feed, None if row.price is None else price_of(feed.id, row))


def price_of(feed: bytes, row: Row[Any]) -> Price:
    """A row's price columns as a Price."""
    return Price(
        feed=feed,
        price=row.price,
        conf=int(row.conf),
        expo=row.expo,
        publish_time=row.publish_time,
        ema_price=row.ema_price,
        ema_conf=int(row.ema_conf),
        slot=int(row.slot),
        sequence=int(row.sequence),
    )
