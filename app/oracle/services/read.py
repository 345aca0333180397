"""Prices for readers, each with what it is good for now. A price is never given out without its validity."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.core.paging import Page, decode_cursor, page_of
from app.oracle.adapters.price_cache import PriceCache
from app.oracle.errors import FeedUnknown
from app.oracle.maths.validity import (
    REFUSALS,
    aggregate_price,
    aggregate_validities,
    sequencer_verdict,
    validities,
)
from app.oracle.queries import feeds as feed_queries
from app.oracle.queries.aggregates import latest_aggregates
from app.oracle.queries.quotes import find_uptime
from app.oracle.services.aggregate import find_aggregate
from app.oracle.services.feeds import get_feeds, select_feeds
from app.oracle.types.prices import AGGREGATE, Action, Around, Feed, FeedPrice, Price, Quote, Rules, Validity
from app.oracle.types.sources import Aggregate

LISTING = "oracle_prices"


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
    known = _latest(session, names, cache)
    around = get_around(session, rules, now)
    return [quote(one, rules, now, around) for one in known]


def get_around(session: Session, rules: Rules, now: datetime) -> Around:
    """What prices are judged by besides themselves, as it is recorded; asks only for what the rules look at."""
    sequencer = rules.sequencer
    since = now - timedelta(seconds=rules.max_aggregate_age_seconds)
    return Around(
        sequencer=None
        if sequencer is None
        else sequencer_verdict(find_uptime(session, sequencer.chain_id), sequencer, now),
        aggregates=latest_aggregates(session, rules.aggregated, since) if rules.aggregated else {},
    )


def quote(known: FeedPrice, rules: Rules, now: datetime, around: Around) -> Quote:
    """A feed's price with its validity for every action at `now`."""
    verdicts = validities(known.price, rules, now, symbol=known.feed.symbol, around=around)
    return Quote(known.feed, known.price, verdicts, as_of=now)


def aggregate_quotes(session: Session, rules: Rules, now: datetime) -> Sequence[Quote]:
    """The recent aggregates as quotes, for who has no other price; a symbol without one is left out. O(symbols)."""
    if not rules.aggregated:
        return ()
    around = get_around(session, rules, now)
    return [aggregate_quote(aggregate, rules, now, around) for aggregate in around.aggregates.values()]


def aggregate_quote(aggregate: Aggregate, rules: Rules, now: datetime, around: Around) -> Quote:
    """An aggregate as a quote, with its validity for every action at `now`."""
    verdicts = aggregate_validities(aggregate, rules, now, around)
    return Quote(Feed(b"", aggregate.symbol, AGGREGATE), aggregate_price(aggregate), verdicts, as_of=now)


def get_detail(
    session: Session, name: str, *, rules: Rules, now: datetime, cache: PriceCache
) -> tuple[Quote | None, Aggregate | None]:
    """The quote of the feed called so, and its symbol's aggregate of the last day with every input; a symbol may have
    one without the other. Raises FeedUnknown when it has neither.
    """
    try:
        (found,) = get_quotes(session, rules=rules, now=now, names=[name], cache=cache)
    except FeedUnknown:
        aggregate = find_aggregate(session, name, now)
        if aggregate is None:
            raise
        return None, aggregate
    return found, find_aggregate(session, found.feed.symbol, now)


def usable_price(found: Quote, action: Action) -> Price:
    """The quote's price if it is valid for `action`; raises what `maths.validity.REFUSALS` has for the verdict."""
    verdict = found.validity[action]
    if found.price is None or verdict is not Validity.FRESH:
        raise REFUSALS[verdict](feed="0x" + found.feed.id.hex(), symbol=found.feed.symbol, action=str(action))
    return found.price


def list_quotes(
    session: Session,
    *,
    rules: Rules,
    now: datetime,
    cache: PriceCache,
    names: Sequence[str] | None,
    cursor: str | None,
    limit: int,
) -> Page[Quote]:
    """A page of what `get_quotes` gives, by symbol; also raises InvalidInput for a bad cursor."""
    key = decode_cursor(LISTING, (str,), cursor)
    quotes = get_quotes(session, rules=rules, now=now, names=names, cache=cache)
    left = sorted((found for found in quotes if key is None or found.feed.symbol > key[0]), key=_symbol)
    return page_of(left[: limit + 1], limit=limit, listing=LISTING, key=lambda found: (found.feed.symbol,))


def _symbol(found: Quote) -> str:
    return found.feed.symbol


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
