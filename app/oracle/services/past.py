"""Recorded prices of the past: in the order they were published, and as of a moment."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from app.oracle.queries import past_prices
from app.oracle.queries.prices import list_history
from app.oracle.types.prices import Action, Price, Rules

AT_ONCE = 5000
EVER = datetime(1970, 1, 1, tzinfo=UTC)


def prices_at(
    session: Session, feeds: Collection[bytes], *, action: Action, rules: Rules, at: datetime
) -> dict[bytes, Price]:
    """By feed, the price that was good for `action` at that moment; where there was none, the first good one after it.

    A feed without either is left out. What is recorded is never older than what is known, so once there is a price
    after the moment the answer stands. O(feeds).
    """
    rule = rules.actions[action]
    oldest = EVER if rule.max_age_seconds is None else at - timedelta(seconds=rule.max_age_seconds)
    return past_prices.prices_at(session, feeds, at, oldest=oldest, max_bps=rule.max_confidence_bps)


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
