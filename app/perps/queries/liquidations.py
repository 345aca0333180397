"""Statements on liquidations."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

from sqlalchemy import Row, Table, delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.perps.models import PerpsLiquidation
from app.perps.types.positions import Liquidation, Place, Side


def add(session: Session, liquidations: Sequence[Liquidation]) -> None:
    """Insert liquidations; one that is there already stays."""
    if liquidations:
        session.execute(insert(PerpsLiquidation).on_conflict_do_nothing(), [_values(one) for one in liquidations])


def remove_of(session: Session, protocol: str, keys: Collection[str]) -> list[Liquidation]:
    """Delete the liquidations of these positions, which are being folded again; returns them."""
    if not keys:
        return []
    table = cast(Table, PerpsLiquidation.__table__)
    gone = delete(table).where(table.c.protocol == protocol, table.c.position_key.in_(keys)).returning(*table.c)
    return [as_liquidation(row) for row in session.execute(gone)]


def as_liquidation(row: Row[Any]) -> Liquidation:
    """A row as a value."""
    return Liquidation(
        protocol=row.protocol,
        key=row.position_key,
        market_id=row.market_id,
        owner=bytes(row.user_address),
        side=Side(row.side),
        size_wad=int(row.size_wad),
        liquidator=bytes(row.liquidator),
        price_wad=int(row.price_wad),
        fee_wad=int(row.fee_wad),
        realized_pnl_wad=int(row.realized_pnl_wad),
        funding_paid_wad=int(row.funding_paid_wad),
        bad_debt_wad=int(row.bad_debt_wad),
        insurance_paid_wad=int(row.insurance_paid_wad),
        place=Place(
            row.block_number, row.log_index, bytes(row.block_hash), bytes(row.transaction_hash), row.liquidated_at
        ),
    )


def _values(one: Liquidation) -> dict[str, Any]:
    return {
        "protocol": one.protocol,
        "block_number": one.place.block_number,
        "log_index": one.place.log_index,
        "position_key": one.key,
        "market_id": one.market_id,
        "user_address": one.owner,
        "side": one.side,
        "size_wad": one.size_wad,
        "liquidator": one.liquidator,
        "price_wad": one.price_wad,
        "fee_wad": one.fee_wad,
        "realized_pnl_wad": one.realized_pnl_wad,
        "funding_paid_wad": one.funding_paid_wad,
        "bad_debt_wad": one.bad_debt_wad,
        "insurance_paid_wad": one.insurance_paid_wad,
        "liquidated_at": one.place.mined_at,
        "block_hash": one.place.block_hash,
        "transaction_hash": one.place.transaction_hash,
    }
