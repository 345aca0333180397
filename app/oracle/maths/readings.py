"""What stands of a source when it is asked again, and its price on its way into an aggregate."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal

from app.oracle.maths.price import WAD_DIGITS, as_wad
from app.oracle.types.prices import FeedPrice
from app.oracle.types.sources import SILENT, Candidate, Flaw, Reading, SourceRule

PYTH = "pyth"
# Room for the largest answer of a Chainlink feed, in wad.
WIDE = Context(prec=140, rounding=ROUND_FLOOR)


def merged(known: Reading | None, fresh: Reading, now: datetime, max_future_seconds: int) -> Reading:
    """What stands after a source was asked again.

    Silence leaves the last price as it is, until its heartbeat is over. So does a round, or a time, that lies before
    the one that is known: a node or a server that lags. Anything else replaces what was known, a flaw the price too. A
    price that is dated ahead of the clock is none.
    """
    if fresh.observed_at is not None and fresh.observed_at - now > timedelta(seconds=max_future_seconds):
        fresh = replace(fresh, price=None, confidence=None, observed_at=None, flaw=Flaw.FROM_THE_FUTURE)
    if known is None:
        return fresh
    if fresh.flaw in SILENT:
        return replace(known, flaw=fresh.flaw)
    if fresh.round_id is not None and known.round_id is not None and fresh.round_id < known.round_id:
        return replace(known, flaw=Flaw.EARLIER_ROUND)
    if (
        fresh.round_id is None
        and fresh.observed_at is not None
        and known.observed_at is not None
        and fresh.observed_at < known.observed_at
    ):
        return known
    return replace(fresh, round_id=fresh.round_id if fresh.round_id is not None else known.round_id)


def candidate(source: str, reading: Reading | None, rule: SourceRule) -> Candidate:
    """A source's reading as an input; its price is rounded down to a wad, its half width up."""
    price = None if reading is None else reading.price
    confidence = Decimal(0) if reading is None or reading.confidence is None else reading.confidence
    return Candidate(
        source=source,
        price_wad=None if price is None else to_wad(price),
        confidence_wad=-to_wad(-confidence),
        observed_at=None if reading is None else reading.observed_at,
        heartbeat_seconds=rule.heartbeat_seconds,
        weight=rule.weight,
        flaw=None if reading is None else reading.flaw,
    )


def pyth_candidate(feed: FeedPrice | None, rule: SourceRule) -> Candidate:
    """The same of the Pyth feed of that symbol, where one is followed."""
    price = None if feed is None else feed.price
    return Candidate(
        source=PYTH,
        price_wad=None if price is None else as_wad(price.price, price.expo),
        confidence_wad=0 if price is None else as_wad(price.conf, price.expo, up=True),
        observed_at=None if price is None else price.publish_time,
        heartbeat_seconds=rule.heartbeat_seconds,
        weight=rule.weight,
    )


def to_wad(value: Decimal) -> int:
    """value · 10^18, rounded towards -∞."""
    return int(value.scaleb(WAD_DIGITS, WIDE).to_integral_value(rounding=ROUND_FLOOR, context=WIDE))
