"""Which feeds this deployment follows. Features that need a price register its feed; nobody else's is fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy.orm import Session

from app.oracle.errors import FeedConflict, FeedUnknown
from app.oracle.queries import feeds as queries
from app.oracle.types.prices import Feed, FeedPrice

ID_HEX_DIGITS = 64


def register_feeds(session: Session, feeds: Iterable[Feed]) -> None:
    """Follow these feeds from now on, or rename those that are followed; raises FeedConflict for a taken symbol."""
    for feed in feeds:
        # Two callers who register one symbol at the same instant both pass here; the unique constraint stops one.
        if any(known.feed.id != feed.id for known in queries.find_feeds(session, (), {feed.symbol})):
            raise FeedConflict(f"Another feed is called {feed.symbol} already.", symbol=feed.symbol)
        queries.upsert_feed(session, feed)


def get_feeds(session: Session, names: Sequence[str] | None = None) -> Sequence[FeedPrice]:
    """The feeds called so, by symbol or by `0x` and 64 hexadecimal digits; all of them when no names are given.

    Raises FeedUnknown naming those that are not followed.
    """
    if names is None:
        return queries.list_feeds(session)
    ids = {name: feed_id for name in names if (feed_id := as_feed_id(name)) is not None}
    found = queries.find_feeds(session, set(ids.values()), {name for name in names if name not in ids})
    return select_feeds(found, names)


def select_feeds(feeds: Sequence[FeedPrice], names: Sequence[str]) -> Sequence[FeedPrice]:
    """Those of `feeds` that are called so; raises FeedUnknown naming those that are not among them."""
    by_id = {known.feed.id: known for known in feeds}
    by_symbol = {known.feed.symbol: known for known in feeds}
    chosen: dict[bytes, FeedPrice] = {}
    unknown: list[str] = []
    for name in names:
        feed_id = as_feed_id(name)
        known = by_symbol.get(name) if feed_id is None else by_id.get(feed_id)
        if known is None:
            unknown.append(name)
        else:
            chosen[known.feed.id] = known
    if unknown:
        raise FeedUnknown(feeds=unknown)
    return list(chosen.values())


def as_feed_id(name: str) -> bytes | None:
    """The id that `name` spells, `0x` and 64 hexadecimal digits; None when it is a symbol."""
    digits = name[2:]
    if (
        name[:2] != "0x"
        or len(digits) != ID_HEX_DIGITS
        or not all(digit in "0123456789abcdefABCDEF" for digit in digits)
    ):
        return None
    return bytes.fromhex(digits)
