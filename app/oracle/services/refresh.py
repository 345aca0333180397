"""Brings the latest prices in: gather (Hermes) → decide (verified, in the window, newer) → record.

O(feeds) in every part, in ⌈feeds / 100⌉ requests and three statements, plus one event a new price.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.core.clock import rfc3339
from app.core.db import release
from app.core.events import NewEvent, Standing, emit_all
from app.core.logging import get_logger
from app.oracle.adapters.hermes import Hermes
from app.oracle.maths.price import as_decimal
from app.oracle.maths.validity import REFUSALS, outside_window
from app.oracle.maths.verification import verify_answer
from app.oracle.queries import feeds as feed_queries
from app.oracle.queries import prices as price_queries
from app.oracle.services.feeds import get_feeds
from app.oracle.types import Feed, Price, RefreshSummary, Trust, Validity, Window

log = get_logger(__name__)
TOPIC = "prices"


def refresh_prices(
    session: Session,
    *,
    source: Hermes,
    trust: Trust,
    window: Window,
    clock: Callable[[], datetime],
    names: Sequence[str] | None = None,
) -> RefreshSummary:
    """Fetch, verify and record the prices of the named feeds (of all, when none are named).

    A feed that the source lacks, or whose price is outside the window, is refused by itself and named in the summary;
    when nothing else is left of the request, its reason is raised: PriceMissing, PriceStale or PriceFromTheFuture. An
    update that does not verify refuses everything: UpdateInvalid. Also raises FeedUnknown and the source's errors.

    `clock` is read after the answer came: what Hermes signed while we waited is not from the future.
    """
    feeds = {known.feed.id: known.feed for known in get_feeds(session, names)}
    release(session)
    answer = source.latest(feeds)
    now = clock()
    verified = verify_answer(answer.updates, feeds.keys() - answer.missing, trust, now)
    refused = dict.fromkeys(answer.missing, Validity.MISSING)
    accepted: list[Price] = []
    for price in (price for update in verified for price in update.prices):
        if (reason := outside_window(price.publish_time, window, now)) is None:
            accepted.append(price)
        else:
            refused[price.feed] = reason
    if refused:
        named = {feeds[feed].symbol: str(reason) for feed, reason in refused.items()}
        log.warning("prices_refused", feeds=named)
        if not accepted:
            raise REFUSALS[next(iter(refused.values()))](feeds=named)
    recorded = {price.feed for price in record(session, feeds, accepted)}
    return RefreshSummary(
        recorded=tuple(price.feed for price in accepted if price.feed in recorded),
        unchanged=tuple(price.feed for price in accepted if price.feed not in recorded),
        refused={feed: str(reason) for feed, reason in refused.items()},
    )


def record(session: Session, feeds: Mapping[bytes, Feed], prices: Iterable[Price]) -> Sequence[Price]:
    """Write those prices that are newer than what is known, with an event each; returns them."""
    by_feed = {price.feed: price for price in prices}
    known = feed_queries.lock_feeds(session, by_feed.keys())
    newer = [by_feed[feed] for feed, latest in known.items() if latest is None or by_feed[feed].publish_time > latest]
    if newer:
        price_queries.record_prices(session, newer)
    told = ((price, "0x" + price.feed.hex()) for price in newer)
    emit_all(
        session,
        [NewEvent(TOPIC, subject, price_event(feeds[price.feed], price), Standing.STATE) for price, subject in told],
    )
    return newer


def price_event(feed: Feed, price: Price) -> Mapping[str, object]:
    """What subscribers to the topic `prices` read."""
    return {
        "feed": "0x" + feed.id.hex(),
        "symbol": feed.symbol,
        "price": format(as_decimal(price.price, price.expo), "f"),
        "confidence": format(as_decimal(price.conf, price.expo), "f"),
        "publish_time": rfc3339(price.publish_time),
        "slot": str(price.slot),
    }
