"""What every event did to the money of positions and accounts."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, LargeBinary, Numeric, Text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base

# A contract's word: 256 bits, signed or not.
Wad = Numeric(78, 0)


class PerpsPnlEntry(Base):
    """What one event did: profit, funding, fees and transfers apart, its part in open interest, and what the position
    and its owner's account in the protocol have come to with it. `position_key` and `market_id` are empty for an
    account's own collateral.

    Grows by one row an event that moves money or size, about 250 bytes, kept for good.
    """

    __tablename__ = "perps_pnl_entries"
    __table_args__ = (
        CheckConstraint("octet_length(user_address) = 20", name="user_address"),
        CheckConstraint("(position_key IS NULL) = (market_id IS NULL)", name="position"),
        Index("ix_perps_pnl_entries_at", "at", "protocol", "block_number", "log_index"),
        Index("ix_perps_pnl_entries_user", "user_address", "at", "protocol", "block_number", "log_index"),
        Index("ix_perps_pnl_entries_account", "protocol", "user_address", "block_number", "log_index"),
        Index("ix_perps_pnl_entries_position", "protocol", "position_key", "at", "block_number", "log_index"),
        Index("ix_perps_pnl_entries_market", "protocol", "market_id", "at"),
    )

    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    block_number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    log_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    position_key: Mapped[str | None] = mapped_column(Text)
    market_id: Mapped[str | None] = mapped_column(Text)
    user_address: Mapped[bytes] = mapped_column(LargeBinary)
    realized_pnl_wad: Mapped[Decimal] = mapped_column(Wad)
    funding_paid_wad: Mapped[Decimal] = mapped_column(Wad)
    fee_wad: Mapped[Decimal] = mapped_column(Wad)
    transfer_wad: Mapped[Decimal] = mapped_column(Wad)
    covered_wad: Mapped[Decimal] = mapped_column(Wad)
    long_moved_wad: Mapped[Decimal] = mapped_column(Wad)
    short_moved_wad: Mapped[Decimal] = mapped_column(Wad)
    position_pnl_wad: Mapped[Decimal] = mapped_column(Wad)
    position_transfers_wad: Mapped[Decimal] = mapped_column(Wad)
    account_pnl_wad: Mapped[Decimal] = mapped_column(Wad)
    account_transfers_wad: Mapped[Decimal] = mapped_column(Wad)
    at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))
    block_hash: Mapped[bytes] = mapped_column(LargeBinary)
    transaction_hash: Mapped[bytes] = mapped_column(LargeBinary)
