"""Recorded prices in the order they were published, for who would look back."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.oracle.queries.prices import list_history
from app.oracle.types.prices import Price

AT_ONCE = 5000


def read_prices(session: Session, feed: bytes, start: datetime, end: datetime) -> list[Price]:
    """A feed's recorded prices with start ≤ publish time ≤ end, the oldest first. O(prices)."""
    found: list[Price] = []
    before = end + timedelta(microseconds=1)
    while True:
        page = list_history(session, feed, start, before, AT_ONCE)
        found += page
        if len(page) < AT_ONCE:
            return found[::-1]
        before = page[-1].publish_time
