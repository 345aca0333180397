"""Positions, the events they are folded from, and how some of them ended."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base

# A contract's word: 256 bits, signed or not.
Wad = Numeric(78, 0)
Moment = TIMESTAMP(timezone=True)
OPEN = text("status = 'open'")


class PerpsPosition(Base):
    """A position, open or ended; one that has ended keeps the size and collateral it had then.

    Grows by one row a position opened, kept for good. `block_number` to `changed_at` are those of its last event, by
    which a fold knows what is new to it. `collateral_wad`, `leverage_wad` (notional at entry over collateral) and
    `trigger_key` are empty for cross margin. The trigger index is read from a bound upwards, in O(log open + found).
    """

    __tablename__ = "perps_positions"
    __table_args__ = (
        CheckConstraint("side IN ('long', 'short')", name="side"),
        CheckConstraint("status IN ('open', 'closed', 'liquidated')", name="status"),
        CheckConstraint("octet_length(user_address) = 20", name="user_address"),
        CheckConstraint("size_wad >= 0", name="size"),
        CheckConstraint("(status = 'open') = (exit_price_wad IS NULL)", name="exit_price"),
        Index(
            "ix_perps_positions_trigger", "protocol", "market_id", "side", "tier", "trigger_key", postgresql_where=OPEN
        ),
        Index("ix_perps_positions_opened", "opened_at", "protocol", "key"),
        Index("ix_perps_positions_open", "opened_at", "protocol", "key", postgresql_where=OPEN),
        Index("ix_perps_positions_user", "user_address", "opened_at", "protocol", "key"),
        Index("ix_perps_positions_market", "protocol", "market_id", "opened_at", "key"),
    )

    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    market_id: Mapped[str] = mapped_column(Text)
    user_address: Mapped[bytes] = mapped_column(LargeBinary)
    side: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    size_wad: Mapped[Decimal] = mapped_column(Wad)
    collateral_wad: Mapped[Decimal | None] = mapped_column(Wad)
    leverage_wad: Mapped[Decimal | None] = mapped_column(Wad)
    entry_price_wad: Mapped[Decimal] = mapped_column(Wad)
    exit_price_wad: Mapped[Decimal | None] = mapped_column(Wad)
    entry_funding_index_wad: Mapped[Decimal | None] = mapped_column(Wad)
    realized_pnl_wad: Mapped[Decimal] = mapped_column(Wad)
    accumulated_funding_wad: Mapped[Decimal] = mapped_column(Wad)
    fees_wad: Mapped[Decimal] = mapped_column(Wad)
    net_transfers_wad: Mapped[Decimal] = mapped_column(Wad, server_default=text("0"))
    tier: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    trigger_key: Mapped[float | None] = mapped_column(Double)
    opened_at: Mapped[datetime] = mapped_column(Moment)
    opened_block_number: Mapped[int] = mapped_column(BigInteger)
    opened_log_index: Mapped[int] = mapped_column(Integer)
    opened_block_hash: Mapped[bytes] = mapped_column(LargeBinary)
    opened_transaction_hash: Mapped[bytes] = mapped_column(LargeBinary)
    changed_at: Mapped[datetime] = mapped_column(Moment)
    block_number: Mapped[int] = mapped_column(BigInteger)
    log_index: Mapped[int] = mapped_column(Integer)
    block_hash: Mapped[bytes] = mapped_column(LargeBinary)
    transaction_hash: Mapped[bytes] = mapped_column(LargeBinary)


class PerpsFoldedEvent(Base):
    """Which events a position, an order or a market is folded from: how a reorg finds what it touched, and folds it
    again.

    Grows by one row an event of a position, of an order or of a market's terms, about 100 bytes, kept for good.
    """

    __tablename__ = "perps_folded_events"
    __table_args__ = (
        CheckConstraint("entity IN ('position', 'market', 'order')", name="entity"),
        Index("ix_perps_folded_events_block", "protocol", "block_number"),
    )

    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    entity: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    block_number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    log_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    block_hash: Mapped[bytes] = mapped_column(LargeBinary)


class PerpsLiquidation(Base):
    """A liquidation, whoever sent it: what the chain's event says and the position it ended.

    Grows by one row a liquidation, kept for good.
    """

    __tablename__ = "perps_liquidations"
    __table_args__ = (
        Index("ix_perps_liquidations_liquidated", "liquidated_at", "protocol", "block_number", "log_index"),
        Index("ix_perps_liquidations_user", "user_address", "liquidated_at", "protocol", "block_number", "log_index"),
        Index("ix_perps_liquidations_market", "protocol", "market_id", "liquidated_at", "block_number", "log_index"),
        Index("ix_perps_liquidations_position", "protocol", "position_key"),
    )

    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    block_number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    log_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position_key: Mapped[str] = mapped_column(Text)
    market_id: Mapped[str] = mapped_column(Text)
    user_address: Mapped[bytes] = mapped_column(LargeBinary)
    side: Mapped[str] = mapped_column(Text)
    size_wad: Mapped[Decimal] = mapped_column(Wad)
    liquidator: Mapped[bytes] = mapped_column(LargeBinary)
    price_wad: Mapped[Decimal] = mapped_column(Wad)
    fee_wad: Mapped[Decimal] = mapped_column(Wad)
    realized_pnl_wad: Mapped[Decimal] = mapped_column(Wad)
    funding_paid_wad: Mapped[Decimal] = mapped_column(Wad)
    bad_debt_wad: Mapped[Decimal] = mapped_column(Wad)
    insurance_paid_wad: Mapped[Decimal] = mapped_column(Wad)
    liquidated_at: Mapped[datetime] = mapped_column(Moment)
    block_hash: Mapped[bytes] = mapped_column(LargeBinary)
    transaction_hash: Mapped[bytes] = mapped_column(LargeBinary)
