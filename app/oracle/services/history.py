"""What was recorded: prices, candles, and averages over time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.core.errors import InvalidInput
from app.core.paging import Page, decode_cursor, page_of
from app.oracle.errors import PriceMissing
from app.oracle.maths.averages import twap
from app.oracle.maths.price import as_wad
from app.oracle.queries import prices as queries
from app.oracle.services.feeds import get_feeds
from app.oracle.types.prices import Candle, Interval, Price

LISTING = "oracle_prices"
CANDLES = "oracle_candles"
MAX_AVERAGED = 20_000
# A price that was published longer before the start says nothing of it.
HELD = timedelta(hours=1)


def list_history(
    session: Session, name: str, *, start: datetime, end: datetime, cursor: str | None, limit: int
) -> Page[Price]:
    """A page of a feed's recorded prices with start ≤ publish time < end, newest first. O(limit + months).

    Raises FeedUnknown, and InvalidInput for a bad cursor.
    """
    (known,) = get_feeds(session, [name])
    listing = f"{LISTING}:{known.feed.id.hex()}"
    key = decode_cursor(listing, (datetime,), cursor)
    before = end if key is None else min(end, key[0])  # a feed has one price a publish time
    found = queries.list_history(session, known.feed.id, start, before, limit + 1)
    return page_of(found, limit=limit, listing=listing, key=lambda price: (price.publish_time,))


def list_candles(
    session: Session,
    name: str,
    interval: Interval,
    *,
    start: datetime,
    end: datetime,
    cursor: str | None,
    limit: int,
) -> Page[Candle]:
    """A page of a feed's candles with start ≤ opened_at < end, newest first; intervals without a price have none.

    Raises FeedUnknown, and InvalidInput for a bad cursor. O(limit + months).
    """
    (known,) = get_feeds(session, [name])
    listing = f"{CANDLES}:{known.feed.id.hex()}:{interval}"
    key = decode_cursor(listing, (datetime,), cursor)
    before = end if key is None else min(end, key[0])
    found = queries.list_candles(session, known.feed.id, interval, start, before, limit + 1)
    return page_of(found, limit=limit, listing=listing, key=lambda candle: (candle.opened_at,))


def time_weighted_average(session: Session, name: str, *, start: datetime, end: datetime) -> tuple[int, int]:
    """A feed's time-weighted average over [start, end) in wad, rounded down, and of how many prices it is made.

    The price that held at `start` counts when it was published at most an hour before. Raises FeedUnknown,
    PriceMissing when no price held, and InvalidInput for a stretch of more than 20,000 prices.
    """
    (known,) = get_feeds(session, [name])
    found = queries.list_history(session, known.feed.id, start, end, MAX_AVERAGED + 1)
    if len(found) > MAX_AVERAGED:
        raise InvalidInput(errors=[{"pointer": "?from", "detail": f"More than {MAX_AVERAGED} prices; ask for less."}])
    first = queries.find_last_before(session, known.feed.id, start - HELD, start)
    ordered = list(reversed(found))
    if first is not None and (not ordered or ordered[0].publish_time > first.publish_time):
        ordered.insert(0, first)
    if not ordered or start >= end:
        raise PriceMissing(f"There is no price of {known.feed.symbol} in that time.", feeds=[known.feed.symbol])
    held = [(price.publish_time, as_wad(price.price, price.expo)) for price in ordered]
    return twap(held, start, end), len(held)
