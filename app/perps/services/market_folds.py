"""Folding markets: their terms from their own events, their funding from the newest settlement, their open interest by
what the positions' folds have moved.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.chain.services.stored_events import read_events
from app.perps.maths.market_fold import Listing, folded_market, folded_terms
from app.perps.queries import folded_events, funding, markets, positions
from app.perps.queries.folded_events import Entity
from app.perps.services.position_folds import Moves
from app.perps.services.reading import read_changes
from app.perps.services.telling import tell_markets
from app.perps.types.changes import MarketChange
from app.perps.types.markets import Market
from app.perps.types.positions import Side
from app.perps.types.protocol import PerpsProtocol


def note_terms(session: Session, protocol: PerpsProtocol, changes: Sequence[MarketChange]) -> set[str]:
    """Note the events of markets' terms; returns the markets that have new ones."""
    events = [(one.market_id, one.place) for one in changes]
    return {key for key, _, _ in folded_events.add(session, protocol.name, Entity.MARKET, events)}


def fold_markets(
    session: Session, protocol: PerpsProtocol, *, relisted: Collection[str], settled: Collection[str], moves: Moves
) -> list[Market]:
    """Bring up to date the markets whose terms (`relisted`), funding or open interest changed; returns the new ones.

    The positions, settlements and noted events are in the tables already. A market that was never listed after all is
    deleted; one that is not listed yet is left for its listing. O(markets touched), and a new market's open positions.
    """
    touched = {*relisted, *settled, *(market_id for market_id, _ in moves)}
    if not touched:
        return []
    known = markets.markets_by_id(session, protocol.name, touched)
    listings = {market_id: _listing_of(market) for market_id, market in known.items() if market_id not in relisted}
    listings |= listings_at(session, protocol, relisted)
    settlements = funding.newest(session, protocol.name, listings)
    folded = []
    for market_id, listing in listings.items():
        interest = _interest(session, protocol, market_id, known, moves)
        folded.append(folded_market(protocol, market_id, listing, settlements.get(market_id), interest))
    markets.write(session, folded)
    gone = known.keys() - listings.keys()
    markets.remove(session, protocol.name, gone)
    tell_markets(session, known, folded, [known[market_id] for market_id in gone])
    return [market for market in folded if market.market_id not in known]


def _listing_of(market: Market) -> Listing:
    return Listing(market.terms, market.terms_changed_at, market.listed_at, market.listed_block_number)


def listings_at(
    session: Session, protocol: PerpsProtocol, market_ids: Collection[str], *, at: datetime | None = None
) -> dict[str, Listing]:
    """The markets' terms as the events until `at` have them, of all events without it; one not listed is left out.

    Terms change seldom, so they are always folded from their first event.
    """
    if not market_ids:
        return {}
    places = folded_events.places_of(session, protocol.name, Entity.MARKET, market_ids)
    events = read_events(session, protocol.contract_set, (place for found in places.values() for place in found))
    by_market: dict[str, list[MarketChange]] = {}
    for change in read_changes(protocol, events).markets:
        if at is not None and change.place.mined_at > at:
            continue
        by_market.setdefault(change.market_id, []).append(change)
    has_feed = protocol.section.feed_field is not None
    found = {market_id: folded_terms(changes, has_feed=has_feed) for market_id, changes in by_market.items()}
    return {market_id: listing for market_id, listing in found.items() if listing is not None}


def _interest(
    session: Session, protocol: PerpsProtocol, market_id: str, known: Mapping[str, Market], moves: Moves
) -> dict[Side, int]:
    if market_id not in known:
        return positions.open_interest_wad(session, protocol.name, market_id)
    state = known[market_id].funding
    return {
        Side.LONG: state.long_open_interest_wad + moves.get((market_id, Side.LONG), 0),
        Side.SHORT: state.short_open_interest_wad + moves.get((market_id, Side.SHORT), 0),
    }
