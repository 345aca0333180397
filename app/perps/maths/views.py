"""Markets as they are seen at one moment: the protocol's own price, fit for the purpose, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from math import ceil

from app.oracle.types.prices import AGGREGATE, Action, Price, Quote, Validity
from app.perps.maths.funding import funding_at
from app.perps.maths.slots import next_slot
from app.perps.maths.units import scaled_wad
from app.perps.types.health import End, MarketKey, MarketView, Point, Views
from app.perps.types.markets import Margin, Market, MarketTerms
from app.perps.types.protocol import PerpsProtocol, PerpsSection
from app.perps.types.sections import MarginSection

UNKNOWN_PROTOCOL = "unknown_protocol"


def view_markets(
    protocols: Sequence[PerpsProtocol],
    markets: Iterable[Market],
    quotes: Iterable[Quote],
    *,
    action: Action,
    now: datetime,
) -> Views:
    """Each market at its feed's price, or at its pair's aggregate where its file says so, if that is valid for
    `action`. O(feeds + markets).
    """
    sections = {protocol.name: protocol.section for protocol in protocols}
    by_feed: dict[bytes, Quote] = {}
    by_pair: dict[str, Quote] = {}
    for quote in quotes:
        if quote.feed.source == AGGREGATE:
            by_pair[quote.feed.symbol] = quote
        else:
            by_feed[quote.feed.id] = quote
    priced: dict[MarketKey, MarketView] = {}
    unpriced: dict[MarketKey, str] = {}
    for market in markets:
        key = (market.protocol, market.market_id)
        section = sections.get(market.protocol)
        if section is None:
            unpriced[key] = UNKNOWN_PROTOCOL
            continue
        found = _quote(market.terms, section, by_feed, by_pair)
        if found is None:
            unpriced[key] = Validity.MISSING
        elif found.validity[action] is not Validity.FRESH or found.price is None:
            unpriced[key] = found.validity[action]
        else:
            priced[key] = market_view(market, section, found.price, now)
    return Views(priced, unpriced)


def _quote(
    terms: MarketTerms, section: PerpsSection, by_feed: Mapping[bytes, Quote], by_pair: Mapping[str, Quote]
) -> Quote | None:
    if section.price is not None and section.price.source == AGGREGATE:
        return by_pair.get(terms.pair)
    return None if terms.price_feed is None else by_feed.get(terms.price_feed)


def market_view(market: Market, section: PerpsSection, price: Price, now: datetime) -> MarketView:
    """The market at the price ± its confidence, with funding accrued to `now` at each point where the contract accrues.

    The interval is widened by the file's multiple, its half rounded up; its low end is at least one unit. A price below
    one unit of wad counts as one.
    """
    middle = max(1, scaled_wad(price.price, -price.expo))
    half = ceil(Fraction(section.get_price().confidence_multiple) * _up_wad(price.conf, -price.expo))
    ends = {End.LOW: max(1, middle - half), End.MIDDLE: middle, End.HIGH: middle + half}
    state, terms = market.funding, market.terms.funding
    settles_at = next_slot(now, section.funding.slot_seconds) if section.is_computed else None
    accrues_to = state.settled_at if section.is_computed else now
    return MarketView(
        protocol=market.protocol,
        market_id=market.market_id,
        margin=margin_of(market.terms, section.margin),
        points={end: Point(wad, funding_at(state, terms, price_wad=wad, at=accrues_to)) for end, wad in ends.items()},
        provisional=funding_at(state, terms, price_wad=middle, at=settles_at or now),
        settles_at=settles_at,
        published_at=price.publish_time,
        as_of=now,
    )


def margin_of(terms: MarketTerms, section: MarginSection) -> Margin:
    """What a position must keep: the sum of the rates that the file says make the margin."""
    rates: list[int] = [getattr(terms, f"{name}_wad") for name in section.rates]
    return Margin(sum(rates), section.boundary)


def _up_wad(value: int, decimals: int) -> int:
    return -scaled_wad(-value, decimals)
