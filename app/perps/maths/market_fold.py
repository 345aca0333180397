"""A market as the fold of its events: its terms, and all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from app.perps.maths.funding import funding_rate_wad
from app.perps.types.changes import FundingEntry, MarketChange
from app.perps.types.markets import FundingState, FundingTerms, Market, MarketTerms
from app.perps.types.positions import Side
from app.perps.types.protocol import PerpsProtocol
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


def folded_market(
    protocol: PerpsProtocol,
    market_id: str,
    listing: Listing,
    settlement: FundingEntry | None,
    interest: Mapping[Side, int],
) -> Market:
    """A market by its terms, its newest settlement and its open interest. Funding counts from the listing until it is
    first settled.
    """
    state = FundingState(
        long_open_interest_wad=interest[Side.LONG],
        short_open_interest_wad=interest[Side.SHORT],
        long_index_wad=settlement.long_index_wad if settlement else 0,
        short_index_wad=settlement.short_index_wad if settlement else 0,
        settled_at=settlement.settled_at if settlement else listing.listed_at,
    )
    rate = funding_rate_wad(interest[Side.LONG], interest[Side.SHORT], listing.terms.funding)
    if protocol.section.funding.model == "premium":
        rate = settlement.rate_wad if settlement else 0
    return Market(
        protocol=protocol.name,
        market_id=market_id,
        terms=listing.terms,
        funding=state,
        current_rate_wad=rate,
        terms_changed_at=listing.changed_at,
        listed_at=listing.listed_at,
        listed_block_number=listing.listed_block_number,
    )


def _terms(said: dict[str, Any], feed: bytes | None) -> MarketTerms:
    funding = FundingTerms(**{ours: said[name] for name, ours in _FUNDING.items()})
    named = {
        f"{name}_wad" if KINDS[name] in NUMBERS else name: value for name, value in said.items() if name not in _FUNDING
    }
    return MarketTerms(price_feed=feed, funding=funding, **named)
