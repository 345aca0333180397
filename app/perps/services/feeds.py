"""The price feeds that markets need: whoever lists a market has its price followed."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.oracle.errors import FeedConflict
from app.oracle.services.feeds import get_feeds, register_feeds
from app.oracle.types.prices import Feed
from app.perps.types.markets import Market


def follow_feeds(session: Session, markets: Sequence[Market]) -> None:
    """Have the oracle follow the markets' feeds that it does not follow yet; those it does keep their names."""
    if not markets:
        return
    followed = {known.feed.id for known in get_feeds(session)}
    for market in markets:
        feed = market.terms.price_feed
        if feed is not None and feed not in followed:
            _follow(session, feed, market.terms.pair)
            followed.add(feed)


def _follow(session: Session, feed: bytes, symbol: str) -> None:
    """A symbol that another feed has already is told apart by the id: a listing must not fail for a name."""
    try:
        register_feeds(session, [Feed(feed, symbol)])
    except FeedConflict:
        register_feeds(session, [Feed(feed, f"{symbol} 0x{feed.hex()}")])
