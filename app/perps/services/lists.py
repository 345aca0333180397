"""Lists for readers: markets, positions with live health, settlements, liquidations; a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from app.core.paging import Page, decode_cursor, page_of
from app.perps.errors import MarketNotFound
from app.perps.maths.health import judged
from app.perps.queries import listings
from app.perps.queries.funding import FundingRow
from app.perps.queries.listings import EVENT_KEY, FUNDING_KEY, POSITION_KEY, Filter
from app.perps.queries.markets import list_markets, page_markets
from app.perps.queries.pnl import EntryRow
from app.perps.services.health import get_position, views_now
from app.perps.services.parts import Seeing
from app.perps.types.health import Judged, MarketKey, Views
from app.perps.types.markets import Market
from app.perps.types.positions import Liquidation, PositionStatus

MARKETS, POSITIONS, FUNDING, LIQUIDATIONS = "perps_markets", "perps_positions", "perps_funding", "perps_liquidations"
PNL = "perps_pnl"


@dataclass(frozen=True, slots=True)
class Slice:
    """Where a page begins and how long it is."""

    cursor: str | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a list is narrowed to, as readers say it: `market` is an id or a symbol."""

    protocol: str | None = None
    market: str | None = None
    owner: bytes | None = None
    status: PositionStatus | None = None
    liquidator: bytes | None = None
    position: str | None = None
    start: datetime | None = None
    end: datetime | None = None


def markets_page(
    session: Session, asked: Asked, part: Slice, *, seeing: Seeing, now: datetime
) -> tuple[Page[Market], Views]:
    """Markets by protocol and id, and how they are seen now; raises InvalidInput for a bad cursor."""
    key = decode_cursor(MARKETS, (str, str), part.cursor)
    after = None if key is None else (key[0], key[1])
    rows = page_markets(session, after=after, protocol=asked.protocol, symbol=asked.market, limit=part.limit + 1)
    page = page_of(rows, limit=part.limit, listing=MARKETS, key=lambda row: (row.protocol, row.market_id))
    return page, views_now(session, seeing, now)


def get_market(
    session: Session, protocol: str, market_id: str, *, seeing: Seeing, now: datetime
) -> tuple[Market, Views]:
    """One market, and how it is seen now; raises MarketNotFound."""
    for market in list_markets(session, protocol):
        if market.market_id == market_id:
            return market, views_now(session, seeing, now, protocol=protocol)
    raise MarketNotFound(f"{protocol[:100]} has no market {market_id[:100]}.")


def positions_page(session: Session, asked: Asked, part: Slice, *, seeing: Seeing, now: datetime) -> Page[Judged]:
    """Positions, the newest first, each with its health or the reason why it has none.

    Raises MarketNotFound for an unknown market, and InvalidInput for a bad cursor.
    """
    before = decode_cursor(POSITIONS, POSITION_KEY, part.cursor)
    rows = listings.list_positions(session, _filter(session, asked), before=before, limit=part.limit + 1)
    page = page_of(
        rows, limit=part.limit, listing=POSITIONS, key=lambda row: (row.opened.mined_at, row.protocol, row.key)
    )
    views = views_now(session, seeing, now)
    return Page([judged(position, views) for position in page.items], page.next_cursor)


def get_judged(session: Session, protocol: str, key: str, *, seeing: Seeing, now: datetime) -> Judged:
    """One position with its health; raises PositionNotFound."""
    return judged(get_position(session, protocol, key), views_now(session, seeing, now, protocol=protocol))


def funding_page(session: Session, asked: Asked, part: Slice) -> Page[FundingRow]:
    """Settlements, the newest first; raises MarketNotFound and InvalidInput."""
    before = decode_cursor(FUNDING, FUNDING_KEY, part.cursor)
    rows = listings.list_funding(session, _filter(session, asked), before=before, limit=part.limit + 1)

    def key(row: FundingRow) -> tuple[datetime, str, str, int, int]:
        place = row.entry.place
        return row.entry.settled_at, row.protocol, row.entry.market_id, place.block_number, place.log_index

    return page_of(rows, limit=part.limit, listing=FUNDING, key=key)


def liquidations_page(session: Session, asked: Asked, part: Slice) -> Page[Liquidation]:
    """Liquidations, the newest first; raises MarketNotFound and InvalidInput."""
    before = decode_cursor(LIQUIDATIONS, EVENT_KEY, part.cursor)
    rows = listings.list_liquidations(session, _filter(session, asked), before=before, limit=part.limit + 1)
    return page_of(
        rows,
        limit=part.limit,
        listing=LIQUIDATIONS,
        key=lambda row: (row.place.mined_at, row.protocol, row.place.block_number, row.place.log_index),
    )


def pnl_page(session: Session, asked: Asked, part: Slice) -> Page[EntryRow]:
    """What events did to positions' and owners' money, the newest first; raises MarketNotFound and InvalidInput."""
    before = decode_cursor(PNL, EVENT_KEY, part.cursor)
    rows = listings.list_entries(session, _filter(session, asked), before=before, limit=part.limit + 1)

    def key(row: EntryRow) -> tuple[datetime, str, int, int]:
        place = row.entry.place
        return place.mined_at, row.protocol, place.block_number, place.log_index

    return page_of(rows, limit=part.limit, listing=PNL, key=key)


def _filter(session: Session, asked: Asked) -> Filter:
    return Filter(
        protocol=asked.protocol,
        markets=None if asked.market is None else _named(session, asked.protocol, asked.market),
        owner=asked.owner,
        status=asked.status,
        liquidator=asked.liquidator,
        position=asked.position,
        start=asked.start,
        end=asked.end,
    )


def _named(session: Session, protocol: str | None, name: str) -> Sequence[MarketKey]:
    """The markets of that id or symbol; a symbol may be listed by several protocols."""
    found = [
        (market.protocol, market.market_id)
        for market in list_markets(session, protocol)
        if name in (market.market_id, market.terms.symbol)
    ]
    if not found:
        raise MarketNotFound(f"There is no market {name[:100]}.")
    return found
