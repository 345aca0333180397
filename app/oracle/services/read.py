"""Prices for readers, each with what it is good for now. A price is never given out without its validity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.oracle.adapters.price_cache import PriceCache
from app.oracle.errors import FeedUnknown
from app.oracle.maths.validity import REFUSALS, validities
from app.oracle.queries import feeds as feed_queries
from app.oracle.queries import prices as price_queries
from app.oracle.services.feeds import get_feeds, select_feeds
from app.oracle.types import Action, FeedPrice, Price, Quote, Rules, Validity


def get_quotes(
    session: Session,
    *,
    rules: Rules,
    now: datetime,
    names: Sequence[str] | None = None,
    cache: PriceCache | None = None,
) -> Sequence[Quote]:
    """The latest prices of the named feeds (of all, when none are named), by symbol or `0x` id.

    With `cache`, a price may be some seconds older than the table's; its validity is judged by its own publish time all
    the same. Leave the cache out where money moves. Raises FeedUnknown. O(feeds).
    """
    return [quote(known, rules, now) for known in _latest(session, names, cache)]


def quote(known: FeedPrice, rules: Rules, now: datetime) -> Quote:
    """A feed's latest price with its validity for every action at `now`."""
    return Quote(known.feed, known.price, validities(known.price, rules, now), as_of=now)


def usable_price(found: Quote, action: Action) -> Price:
    """The quote's price if it is valid for `action`.

    Raises PriceMissing, PriceNotPositive, PriceFromTheFuture, PriceStale or ConfidenceTooWide.
    """
    verdict = found.validity[action]
    if found.price is None or verdict is not Validity.FRESH:
        raise REFUSALS[verdict](feed="0x" + found.feed.id.hex(), symbol=found.feed.symbol, action=str(action))
    return found.price


def list_history(session: Session, name: str, *, start: datetime, end: datetime, limit: int) -> Sequence[Price]:
    """A feed's recorded prices with start ≤ publish time < end, newest first; raises FeedUnknown.

    The next page ends at the last one's publish time: a feed has one price a publish time. O(limit + months).
    """
    (known,) = get_feeds(session, [name])
    return price_queries.list_history(session, known.feed.id, start, end, limit)


def _latest(session: Session, names: Sequence[str] | None, cache: PriceCache | None) -> Sequence[FeedPrice]:
    if cache is None:
        return get_feeds(session, names)
    known = cache.find()
    if known is None:
        known = feed_queries.list_feeds(session)
        cache.put(known)
    if names is None:
        return known
    try:
        return select_feeds(known, names)
    except FeedUnknown:
        return get_feeds(session, names)  # it may have been registered since
