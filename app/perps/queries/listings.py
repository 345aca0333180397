"""Lists of the feature, newest first, each page read by key: O(limit)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Table, select, tuple_
from sqlalchemy.orm import Session

from app.perps.models import PerpsFundingRate, PerpsLiquidation, PerpsOrder, PerpsPnlEntry, PerpsPosition
from app.perps.queries.funding import FundingRow, as_row
from app.perps.queries.liquidations import as_liquidation
from app.perps.queries.orders import as_order
from app.perps.queries.pnl import EntryRow, as_entry
from app.perps.queries.positions import as_position
from app.perps.types.health import MarketKey
from app.perps.types.orders import Order, OrderKind, OrderStatus
from app.perps.types.positions import Liquidation, Position, PositionStatus

POSITION_KEY = (datetime, str, str)
EVENT_KEY = (datetime, str, int, int)
FUNDING_KEY = (datetime, str, str, int, int)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What a list is narrowed to; `markets` None: all of them. `start` ≤ time < `end`."""

    protocol: str | None = None
    markets: Sequence[MarketKey] | None = None
    owner: bytes | None = None
    status: PositionStatus | OrderStatus | None = None
    kind: OrderKind | None = None
    liquidator: bytes | None = None
    position: str | None = None
    start: datetime | None = None
    end: datetime | None = None


def list_positions(session: Session, wanted: Filter, *, before: Sequence[Any] | None, limit: int) -> list[Position]:
    """Positions by when they were opened."""
    table = _table(PerpsPosition)
    statement = _narrowed(select(table), table, wanted, table.c.opened_at)
    if wanted.status is not None:
        statement = statement.where(table.c.status == wanted.status)
    ordered = _page(statement, [table.c.opened_at, table.c.protocol, table.c.key], before, limit)
    return [as_position(row) for row in session.execute(ordered)]


def list_orders(session: Session, wanted: Filter, *, before: Sequence[Any] | None, limit: int) -> list[Order]:
    """Conditional orders by when they were placed."""
    table = _table(PerpsOrder)
    statement = _narrowed(select(table), table, wanted, table.c.created_at)
    if wanted.status is not None:
        statement = statement.where(table.c.status == wanted.status)
    if wanted.kind is not None:
        statement = statement.where(table.c.kind == wanted.kind)
    if wanted.position is not None:
        statement = statement.where(table.c.position_key == wanted.position)
    ordered = _page(statement, [table.c.created_at, table.c.protocol, table.c.key], before, limit)
    return [as_order(row) for row in session.execute(ordered)]


def list_funding(session: Session, wanted: Filter, *, before: Sequence[Any] | None, limit: int) -> list[FundingRow]:
    """Settlements by when they were made."""
    table = _table(PerpsFundingRate)
    statement = _narrowed(select(table), table, wanted, table.c.settled_at)
    key = [table.c.settled_at, table.c.protocol, table.c.market_id, table.c.block_number, table.c.log_index]
    return [as_row(row) for row in session.execute(_page(statement, key, before, limit))]


def list_liquidations(
    session: Session, wanted: Filter, *, before: Sequence[Any] | None, limit: int
) -> list[Liquidation]:
    """Liquidations by when they were made."""
    table = _table(PerpsLiquidation)
    statement = _narrowed(select(table), table, wanted, table.c.liquidated_at)
    if wanted.liquidator is not None:
        statement = statement.where(table.c.liquidator == wanted.liquidator)
    if wanted.position is not None:
        statement = statement.where(table.c.position_key == wanted.position)
    ordered = _by_event(statement, table, table.c.liquidated_at, before, limit)
    return [as_liquidation(row) for row in session.execute(ordered)]


def list_entries(session: Session, wanted: Filter, *, before: Sequence[Any] | None, limit: int) -> list[EntryRow]:
    """PnL entries by when they were made."""
    table = _table(PerpsPnlEntry)
    statement = _narrowed(select(table), table, wanted, table.c.at)
    if wanted.position is not None:
        statement = statement.where(table.c.position_key == wanted.position)
    return [as_entry(row) for row in session.execute(_by_event(statement, table, table.c.at, before, limit))]


def _table(model: Any) -> Table:
    table: Table = model.__table__
    return table


def _narrowed(statement: Select[Any], table: Table, wanted: Filter, time: Any) -> Select[Any]:
    if wanted.protocol is not None:
        statement = statement.where(table.c.protocol == wanted.protocol)
    if wanted.markets is not None:
        statement = statement.where(tuple_(table.c.protocol, table.c.market_id).in_(list(wanted.markets)))
    if wanted.owner is not None:
        statement = statement.where(table.c.user_address == wanted.owner)
    if wanted.start is not None:
        statement = statement.where(time >= wanted.start)
    if wanted.end is not None:
        statement = statement.where(time < wanted.end)
    return statement


def _by_event(statement: Select[Any], table: Table, time: Any, before: Sequence[Any] | None, limit: int) -> Select[Any]:
    return _page(statement, [time, table.c.protocol, table.c.block_number, table.c.log_index], before, limit)


def _page(statement: Select[Any], key: Sequence[Any], before: Sequence[Any] | None, limit: int) -> Select[Any]:
    if before is not None:
        statement = statement.where(tuple_(*key) < tuple(before))
    return statement.order_by(*(column.desc() for column in key)).limit(limit)
