"""Statements on positions: read for folding, written back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from decimal import Decimal
from typing import Any, cast

from sqlalchemy import Row, Table, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.perps.maths.margin import leverage_wad
from app.perps.maths.trigger import trigger_key
from app.perps.models import PerpsPosition
from app.perps.types.positions import Place, Position, PositionStatus, Side

TABLE = cast(Table, PerpsPosition.__table__)
COLUMNS = [column.name for column in TABLE.columns]
KEY = ("protocol", "key")

# Open interest from the rows themselves: only when a market's own row is (re)made. O(open positions of the market).
OPEN_INTEREST = text(
    """
    SELECT side, sum(size_wad) AS size_wad FROM perps_positions
    WHERE protocol = :protocol AND market_id = :market_id AND status = 'open'
    GROUP BY side
    """
)


def positions_by_key(session: Session, protocol: str, keys: Collection[str]) -> dict[str, Position]:
    """Those of the keys that have been opened."""
    rows = session.execute(select(TABLE).where(TABLE.c.protocol == protocol, TABLE.c.key.in_(keys)))
    return {row.key: as_position(row) for row in rows}


def write(session: Session, positions: Sequence[Position]) -> None:
    """Insert or replace whole rows."""
    if not positions:
        return
    statement = insert(TABLE)
    replaced = {name: statement.excluded[name] for name in COLUMNS if name not in KEY}
    # RETURNING makes the driver send many rows a statement; without it, one by one, in twice the time.
    upsert = statement.on_conflict_do_update(index_elements=KEY, set_=replaced).returning(TABLE.c.key)
    session.execute(upsert, [_values(one) for one in positions])


def remove(session: Session, protocol: str, keys: Collection[str]) -> None:
    """Delete positions that were never opened after all."""
    if keys:
        session.execute(delete(PerpsPosition).where(PerpsPosition.protocol == protocol, PerpsPosition.key.in_(keys)))


def open_interest_wad(session: Session, protocol: str, market_id: str) -> dict[Side, int]:
    """The open size of each side."""
    found = dict.fromkeys(Side, 0)
    for row in session.execute(OPEN_INTEREST, {"protocol": protocol, "market_id": market_id}):
        found[Side(row.side)] = int(row.size_wad)
    return found


def as_position(row: Row[Any]) -> Position:
    """A row as a value."""
    return Position(
        protocol=row.protocol,
        key=row.key,
        market_id=row.market_id,
        owner=bytes(row.user_address),
        side=Side(row.side),
        size_wad=int(row.size_wad),
        collateral_wad=_whole(row.collateral_wad),
        entry_price_wad=int(row.entry_price_wad),
        entry_funding_index_wad=_whole(row.entry_funding_index_wad),
        exit_price_wad=_whole(row.exit_price_wad),
        realized_pnl_wad=int(row.realized_pnl_wad),
        accumulated_funding_wad=int(row.accumulated_funding_wad),
        fees_wad=int(row.fees_wad),
        net_transfers_wad=int(row.net_transfers_wad),
        status=PositionStatus(row.status),
        opened=Place(
            row.opened_block_number,
            row.opened_log_index,
            bytes(row.opened_block_hash),
            bytes(row.opened_transaction_hash),
            row.opened_at,
        ),
        last=Place(row.block_number, row.log_index, bytes(row.block_hash), bytes(row.transaction_hash), row.changed_at),
    )


def _values(position: Position) -> dict[str, Any]:
    holding = position.holding
    leverage = (
        None if holding is None else leverage_wad(holding.size_wad, holding.entry_price_wad, holding.collateral_wad)
    )
    return {
        "protocol": position.protocol,
        "key": position.key,
        "market_id": position.market_id,
        "user_address": position.owner,
        "side": position.side,
        "status": position.status,
        "size_wad": position.size_wad,
        "collateral_wad": position.collateral_wad,
        "leverage_wad": leverage,
        "entry_price_wad": position.entry_price_wad,
        "exit_price_wad": position.exit_price_wad,
        "entry_funding_index_wad": position.entry_funding_index_wad,
        "realized_pnl_wad": position.realized_pnl_wad,
        "accumulated_funding_wad": position.accumulated_funding_wad,
        "fees_wad": position.fees_wad,
        "net_transfers_wad": position.net_transfers_wad,
        "tier": 0,
        "trigger_key": trigger_key(holding) if holding is not None and holding.size_wad > 0 else None,
        "opened_at": position.opened.mined_at,
        "opened_block_number": position.opened.block_number,
        "opened_log_index": position.opened.log_index,
        "opened_block_hash": position.opened.block_hash,
        "opened_transaction_hash": position.opened.transaction_hash,
        "changed_at": position.last.mined_at,
        "block_number": position.last.block_number,
        "log_index": position.last.log_index,
        "block_hash": position.last.block_hash,
        "transaction_hash": position.last.transaction_hash,
    }


def _whole(value: Decimal | None) -> int | None:
    return None if value is None else int(value)
