"""Statements on conditional orders: read for folding, written back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

from sqlalchemy import Row, Table, delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.perps.models import PerpsOrder
from app.perps.types.orders import Order, OrderKind, OrderStatus
from app.perps.types.positions import Place, Side

TABLE = cast(Table, PerpsOrder.__table__)
COLUMNS = [column.name for column in TABLE.columns]
KEY = ("protocol", "key")


def orders_by_key(session: Session, protocol: str, keys: Collection[str]) -> dict[str, Order]:
    """Those of the keys that have been created."""
    rows = session.execute(select(TABLE).where(TABLE.c.protocol == protocol, TABLE.c.key.in_(keys)))
    return {row.key: as_order(row) for row in rows}


def write(session: Session, orders: Sequence[Order]) -> None:
    """Insert or replace whole rows."""
    if not orders:
        return
    statement = insert(TABLE)
    replaced = {name: statement.excluded[name] for name in COLUMNS if name not in KEY}
    # RETURNING makes the driver send many rows a statement; without it, one by one, in twice the time.
    upsert = statement.on_conflict_do_update(index_elements=KEY, set_=replaced).returning(TABLE.c.key)
    session.execute(upsert, [_values(one) for one in orders])


def remove(session: Session, protocol: str, keys: Collection[str]) -> None:
    """Delete orders that were never created after all."""
    if keys:
        session.execute(delete(PerpsOrder).where(PerpsOrder.protocol == protocol, PerpsOrder.key.in_(keys)))


def as_order(row: Row[Any]) -> Order:
    """A row as a value."""
    return Order(
        protocol=row.protocol,
        key=row.key,
        market_id=row.market_id,
        owner=bytes(row.user_address),
        kind=OrderKind(row.kind),
        side=Side(row.side),
        position_key=row.position_key,
        size_wad=int(row.size_wad),
        collateral_wad=int(row.collateral_wad),
        trigger_price_wad=int(row.trigger_price_wad),
        acceptable_price_wad=None if row.acceptable_price_wad is None else int(row.acceptable_price_wad),
        execution_fee_wad=int(row.execution_fee_wad),
        expires_at=row.expires_at,
        status=OrderStatus(row.status),
        executed_price_wad=None if row.executed_price_wad is None else int(row.executed_price_wad),
        executed_size_wad=None if row.executed_size_wad is None else int(row.executed_size_wad),
        keeper=None if row.keeper is None else bytes(row.keeper),
        created=Place(
            row.created_block_number,
            row.created_log_index,
            bytes(row.created_block_hash),
            bytes(row.created_transaction_hash),
            row.created_at,
        ),
        last=Place(row.block_number, row.log_index, bytes(row.block_hash), bytes(row.transaction_hash), row.changed_at),
    )


def _values(order: Order) -> dict[str, Any]:
    return {
        "protocol": order.protocol,
        "key": order.key,
        "market_id": order.market_id,
        "user_address": order.owner,
        "kind": order.kind,
        "side": order.side,
        "position_key": order.position_key,
        "size_wad": order.size_wad,
        "collateral_wad": order.collateral_wad,
        "trigger_price_wad": order.trigger_price_wad,
        "acceptable_price_wad": order.acceptable_price_wad,
        "execution_fee_wad": order.execution_fee_wad,
        "expires_at": order.expires_at,
        "status": order.status,
        "executed_price_wad": order.executed_price_wad,
        "executed_size_wad": order.executed_size_wad,
        "keeper": order.keeper,
        "created_at": order.created.mined_at,
        "created_block_number": order.created.block_number,
        "created_log_index": order.created.log_index,
        "created_block_hash": order.created.block_hash,
        "created_transaction_hash": order.created.transaction_hash,
        "changed_at": order.last.mined_at,
        "block_number": order.last.block_number,
        "log_index": order.last.log_index,
        "block_hash": order.last.block_hash,
        "transaction_hash": order.last.transaction_hash,
    }
