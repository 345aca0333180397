"""Prices of the past, for what is settled by them later: the same whenever it is asked."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from app.oracle.queries import past_prices
from app.oracle.types import Action, Price, Rules

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
