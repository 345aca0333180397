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
from app.oracle.types.prices import Feed, Price, Validity
from app.oracle.types.updates import ParsedUpdate, RefreshSummary, Trust, VerifiedUpdate, Window

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
    accepted, refused = judged(verified, answer.missing, window, now)
    if refused:
        named = _named(feeds, refused)
        log.warning("prices_refused", feeds=named)
        if not accepted:
            raise REFUSALS[next(iter(refused.values()))](feeds=named)
    return _recorded(session, feeds, accepted, refused)


def record_updates(
    session: Session,
    updates: Sequence[ParsedUpdate],
    *,
    feeds: Mapping[bytes, Feed],
    trust: Trust,
    window: Window,
    now: datetime,
) -> RefreshSummary:
    """Verify and record what a stream brought of `feeds`, which may be some of them only.

    Raises UpdateInvalid, also for a feed that is not among them. A price outside the window is left out, and named.
    """
    brought = {price.feed for update in updates for price in update.prices} & feeds.keys()
    verified = verify_answer(updates, brought, trust, now)
    accepted, refused = judged(verified, (), window, now)
    if refused:
        log.warning("prices_refused", feeds=_named(feeds, refused))
    return _recorded(session, feeds, accepted, refused)


def judged(
    verified: Iterable[VerifiedUpdate], missing: Iterable[bytes], window: Window, now: datetime
) -> tuple[list[Price], dict[bytes, Validity]]:
    """The verified prices that lie in the window, and the feeds that have none, with the reason."""
    refused = dict.fromkeys(missing, Validity.MISSING)
    accepted: list[Price] = []
    for price in (price for update in verified for price in update.prices):
        if (reason := outside_window(price.publish_time, window, now)) is None:
            accepted.append(price)
        else:
            refused[price.feed] = reason
    return accepted, refused


def _named(feeds: Mapping[bytes, Feed], refused: Mapping[bytes, Validity]) -> dict[str, str]:
    return {feeds[feed].symbol: str(reason) for feed, reason in refused.items()}


def _recorded(
    session: Session, feeds: Mapping[bytes, Feed], accepted: Sequence[Price], refused: Mapping[bytes, Validity]
) -> RefreshSummary:
    recorded = {price.feed for price in record(session, feeds, accepted)}
    return RefreshSummary(
        recorded=tuple(price.feed for price in accepted if price.feed in recorded),
        unchanged=tuple(price.feed for price in accepted if price.feed not in recorded),
        refused={feed: str(reason) for feed, reason in refused.items()},
    )


def record(session: Session, feeds: Mapping[bytes, Feed], prices: Iterable[Price]) -> Sequence[Price]:
    """Write those prices that are newer than what is known, with an event each; returns them.

    One that comes late, older than the latest, enters the history and its candles, and nothing else.
    """
    by_feed = {price.feed: price for price in prices}
    known = feed_queries.lock_feeds(session, by_feed.keys())
    other = [by_feed[feed] for feed, latest in known.items() if by_feed[feed].publish_time != latest]
    if other:
        price_queries.record_prices(session, other)
    newer = [price for price in other if (latest := known[price.feed]) is None or price.publish_time > latest]
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
