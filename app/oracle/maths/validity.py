"""What a price is good for: one verdict for each action, by a rule table, with the reason.

Per action, not one flag (Drift's `oracle.rs`; Mars pull 217; SmarDex pull 95): opening and margin need a fresh and
tight price; a liquidation is not stopped by a wide interval, because it carries its own update for the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from app.core.errors import AppError
from app.oracle.errors import ConfidenceTooWide, PriceFromTheFuture, PriceMissing, PriceNotPositive, PriceStale
from app.oracle.maths.price import confidence_bps
from app.oracle.types import Action, ActionRule, Price, Rules, Validity, Window

# What is raised when a price is needed and its verdict is this.
REFUSALS: Mapping[Validity, type[AppError]] = {
    Validity.MISSING: PriceMissing,
    Validity.NOT_POSITIVE: PriceNotPositive,
    Validity.FROM_THE_FUTURE: PriceFromTheFuture,
    Validity.STALE: PriceStale,
    Validity.CONFIDENCE_TOO_WIDE: ConfidenceTooWide,
}


def validity(price: Price | None, rule: ActionRule, now: datetime, max_future_seconds: int) -> Validity:
    """The first rule that the price breaks, the gravest first; FRESH when it breaks none.

    A price exactly at a limit passes. The confidence is rounded up, against the price.
    """
    if price is None:
        return Validity.MISSING
    if price.price <= 0:
        return Validity.NOT_POSITIVE
    age = now - price.publish_time
    if age < timedelta(seconds=-max_future_seconds):
        return Validity.FROM_THE_FUTURE
    if rule.max_age_seconds is not None and age > timedelta(seconds=rule.max_age_seconds):
        return Validity.STALE
    if rule.max_confidence_bps is not None and confidence_bps(price.price, price.conf) > rule.max_confidence_bps:
        return Validity.CONFIDENCE_TOO_WIDE
    return Validity.FRESH


def validities(price: Price | None, rules: Rules, now: datetime) -> Mapping[Action, Validity]:
    """The verdict for every action."""
    return {action: validity(price, rule, now, rules.max_future_seconds) for action, rule in rules.actions.items()}


def outside_window(publish_time: datetime, window: Window, now: datetime) -> Validity | None:
    """STALE or FROM_THE_FUTURE when the time is outside the window around `now`; None inside it."""
    age = now - publish_time
    if age > timedelta(seconds=window.max_age_seconds):
        return Validity.STALE
    if age < timedelta(seconds=-window.max_future_seconds):
        return Validity.FROM_THE_FUTURE
    return None
