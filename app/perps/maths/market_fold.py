"""A market's terms as the fold of its events."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from app.perps.types.changes import MarketChange
from app.perps.types.markets import FundingTerms, MarketTerms
from app.perps.types.vocabulary import KINDS, NUMBERS, TERMS

_FUNDING = {
    "funding_factor_per_second": "factor_per_second_wad",
    "max_funding_rate_per_second": "max_rate_per_second_wad",
}


class Listing(NamedTuple):
    """A market's terms, when they last changed, and where it was listed."""

    terms: MarketTerms
    changed_at: datetime
    listed_at: datetime
    listed_block_number: int


def folded_terms(changes: Iterable[MarketChange], *, has_feed: bool = True) -> Listing | None:
    """The newest word on each term, in the chain's order; None as long as one has never been said.

    The market counts as listed with the event that said the last of them, its price feed where it has one among them.
    """
    said: dict[str, Any] = {}
    feed: bytes | None = None
    listed: MarketChange | None = None
    newest: MarketChange | None = None
    for change in changes:
        newest = change
        said |= change.terms
        feed = change.price_feed or feed
        if listed is None and (feed is not None or not has_feed) and said.keys() >= TERMS:
            listed = change
    if listed is None or newest is None:
        return None
    return Listing(_terms(said, feed), newest.place.mined_at, listed.place.mined_at, listed.place.block_number)


def _terms(said: dict[str, Any], feed: bytes | None) -> MarketTerms:
    funding = FundingTerms(**{ours: said[name] for name, ours in _FUNDING.items()})
    named = {
        f"{name}_wad" if KINDS[name] in NUMBERS else name: value for name, value in said.items() if name not in _FUNDING
    }
    return MarketTerms(price_feed=feed, funding=funding, **named)
