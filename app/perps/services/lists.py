"""Lists for readers: markets, positions with live health, orders, settlements, liquidations; a page at a time.

Each raises HistoryMissing while a protocol that it would show is folded from a part of its events only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.paging import Page, decode_cursor, page_of
from app.perps.errors import MarketNotFound, OrderNotFound
from app.perps.maths.health import judged
from app.perps.queries import keeper_actions, listings
from app.perps.queries.funding import FundingRow
from app.perps.queries.listings import EVENT_KEY, FUNDING_KEY, POSITION_KEY, Filter
from app.perps.queries.markets import list_markets, page_markets
from app.perps.queries.orders import orders_by_key
from app.perps.queries.pnl import EntryRow
from app.perps.services.health import get_position, require_whole, views_now
from app.perps.services.parts import Seeing
from app.perps.types.health import Judged, MarketKey, Views
from app.perps.types.keeper import KeeperAction
from app.perps.types.markets import Market
from app.perps.types.orders import Order, OrderKind, OrderStatus
from app.perps.types.positions import Liquidation, PositionStatus

MARKETS, POSITIONS, ORDERS, PNL = "perps_markets", "perps_positions", "perps_orders", "perps_pnl"
FUNDING, LIQUIDATIONS, ACTIONS = "perps_funding", "perps_liquidations", "perps_keeper_actions"


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
    status: PositionStatus | OrderStatus | None = None
    kind: OrderKind | None = None
    liquidator: bytes | None = None
    position: str | None = None
    start: datetime | None = None
    end: datetime | None = None


def markets_page(
    session: Session, asked: Asked, part: Slice, *, seeing: Seeing, now: datetime
) -> tuple[Page[Market], Views]:
    """Markets by protocol and id, and how they are seen now; raises InvalidInput for a bad cursor."""
    require_whole(session, seeing, asked.protocol)
    key = decode_cursor(MARKETS, (str, str), part.cursor)
    after = None if key is None else (key[0], key[1])
    rows = page_markets(session, after=after, protocol=asked.protocol, symbol=asked.market, limit=part.limit + 1)
    page = page_of(rows, limit=part.limit, listing=MARKETS, key=lambda row: (row.protocol, row.market_id))
    return page, views_now(session, seeing, now)


def get_market(
    session: Session, protocol: str, market_id: str, *, seeing: Seeing, now: datetime
) -> tuple[Market, Views]:
    """One market, and how it is seen now; raises MarketNotFound."""
    require_whole(session, seeing, protocol)
    for market in list_markets(session, protocol):
        if market.market_id == market_id:
            return market, views_now(session, seeing, now, protocol=protocol)
    raise MarketNotFound(f"{protocol[:100]} has no market {market_id[:100]}.")


def positions_page(session: Session, asked: Asked, part: Slice, *, seeing: Seeing, now: datetime) -> Page[Judged]:
    """Positions, the newest first, each with its health or the reason why it has none.

    Raises MarketNotFound for an unknown market, and InvalidInput for a bad cursor.
    """
    require_whole(session, seeing, asked.protocol)
    before = decode_cursor(POSITIONS, POSITION_KEY, part.cursor)
    rows = listings.list_positions(session, _filter(session, asked), before=before, limit=part.limit + 1)
    page = page_of(
        rows, limit=part.limit, listing=POSITIONS, key=lambda row: (row.opened.mined_at, row.protocol, row.key)
    )
    views = views_now(session, seeing, now)
    return Page([judged(position, views) for position in page.items], page.next_cursor)


def get_judged(session: Session, protocol: str, key: str, *, seeing: Seeing, now: datetime) -> Judged:
    """One position with its health; raises PositionNotFound."""
    require_whole(session, seeing, protocol)
    return judged(get_position(session, protocol, key), views_now(session, seeing, now, protocol=protocol))


def orders_page(session: Session, asked: Asked, part: Slice, *, seeing: Seeing) -> Page[Order]:
    """Conditional orders, the newest first; raises MarketNotFound and InvalidInput."""
    require_whole(session, seeing, asked.protocol)
    before = decode_cursor(ORDERS, POSITION_KEY, part.cursor)
    rows = listings.list_orders(session, _filter(session, asked), before=before, limit=part.limit + 1)
    return page_of(
        rows, limit=part.limit, listing=ORDERS, key=lambda row: (row.created.mined_at, row.protocol, row.key)
    )


def get_order(session: Session, protocol: str, key: str, *, seeing: Seeing) -> Order:
    """One order; raises OrderNotFound."""
    require_whole(session, seeing, protocol)
    found = orders_by_key(session, protocol, [key]).get(key)
    if found is None:
        raise OrderNotFound(f"{protocol[:100]} has no order {key[:100]}.")
    return found


def funding_page(session: Session, asked: Asked, part: Slice, *, seeing: Seeing) -> Page[FundingRow]:
    """Settlements, the newest first; raises MarketNotFound and InvalidInput."""
    require_whole(session, seeing, asked.protocol)
    before = decode_cursor(FUNDING, FUNDING_KEY, part.cursor)
    rows = listings.list_funding(session, _filter(session, asked), before=before, limit=part.limit + 1)

    def key(row: FundingRow) -> tuple[datetime, str, str, int, int]:
        place = row.entry.place
        return row.entry.settled_at, row.protocol, row.entry.market_id, place.block_number, place.log_index

    return page_of(rows, limit=part.limit, listing=FUNDING, key=key)


def liquidations_page(session: Session, asked: Asked, part: Slice, *, seeing: Seeing) -> Page[Liquidation]:
    """Liquidations, the newest first; raises MarketNotFound and InvalidInput."""
    require_whole(session, seeing, asked.protocol)
    before = decode_cursor(LIQUIDATIONS, EVENT_KEY, part.cursor)
    rows = listings.list_liquidations(session, _filter(session, asked), before=before, limit=part.limit + 1)
    return page_of(
        rows,
        limit=part.limit,
        listing=LIQUIDATIONS,
        key=lambda row: (row.place.mined_at, row.protocol, row.place.block_number, row.place.log_index),
    )


def pnl_page(session: Session, asked: Asked, part: Slice, *, seeing: Seeing) -> Page[EntryRow]:
    """What events did to positions' and owners' money, the newest first; raises MarketNotFound and InvalidInput."""
    require_whole(session, seeing, asked.protocol)
    before = decode_cursor(PNL, EVENT_KEY, part.cursor)
    rows = listings.list_entries(session, _filter(session, asked), before=before, limit=part.limit + 1)

    def key(row: EntryRow) -> tuple[datetime, str, int, int]:
        place = row.entry.place
        return place.mined_at, row.protocol, place.block_number, place.log_index

    return page_of(rows, limit=part.limit, listing=PNL, key=key)


def actions_page(session: Session, part: Slice, *, protocol: str | None, action: str | None) -> Page[KeeperAction]:
    """What the keeper planned, the newest first; raises InvalidInput for a bad cursor."""
    key = decode_cursor(ACTIONS, (datetime, UUID), part.cursor)
    before = None if key is None else (key[0], key[1])
    rows = keeper_actions.list_page(session, protocol=protocol, action=action, before=before, limit=part.limit + 1)
    return page_of(rows, limit=part.limit, listing=ACTIONS, key=lambda row: (row.detected_at, row.intent_id))


def _filter(session: Session, asked: Asked) -> Filter:
    return Filter(
        protocol=asked.protocol,
        markets=None if asked.market is None else _named(session, asked.protocol, asked.market),
        owner=asked.owner,
        status=asked.status,
        kind=asked.kind,
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
