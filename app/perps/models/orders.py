"""Conditional orders."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, LargeBinary, Numeric, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base

# A contract's word: 256 bits, signed or not.
Wad = Numeric(78, 0)
Moment = TIMESTAMP(timezone=True)
OPEN = text("status = 'open'")


class PerpsOrder(Base):
    """An order that waits for a price, or has ended: executed or cancelled, as the chain's event says.

    Grows by one row an order placed, kept for good. The trigger index is read from a price outwards, in O(log open +
    found). `position_key` is empty for an order that has yet to open one.
    """

    __tablename__ = "perps_orders"
    __table_args__ = (
        CheckConstraint("kind IN ('limit', 'stop_loss', 'take_profit')", name="kind"),
        CheckConstraint("side IN ('long', 'short')", name="side"),
        CheckConstraint("status IN ('open', 'executed', 'cancelled')", name="status"),
        CheckConstraint("(status = 'executed') = (executed_price_wad IS NOT NULL)", name="executed"),
        CheckConstraint("octet_length(user_address) = 20", name="user_address"),
        Index(
            *("ix_perps_orders_trigger", "protocol", "market_id", "kind", "side", "trigger_price_wad"),
            postgresql_where=OPEN,
        ),
        Index("ix_perps_orders_created", "created_at", "protocol", "key"),
        Index("ix_perps_orders_open", "created_at", "protocol", "key", postgresql_where=OPEN),
        Index("ix_perps_orders_user", "user_address", "created_at", "protocol", "key"),
        Index("ix_perps_orders_market", "protocol", "market_id", "created_at", "key"),
        Index("ix_perps_orders_position", "protocol", "position_key", "created_at", "key"),
    )

    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    market_id: Mapped[str] = mapped_column(Text)
    user_address: Mapped[bytes] = mapped_column(LargeBinary)
    kind: Mapped[str] = mapped_column(Text)
    side: Mapped[str] = mapped_column(Text)
    position_key: Mapped[str | None] = mapped_column(Text)
    size_wad: Mapped[Decimal] = mapped_column(Wad)
    collateral_wad: Mapped[Decimal] = mapped_column(Wad)
    trigger_price_wad: Mapped[Decimal] = mapped_column(Wad)
    acceptable_price_wad: Mapped[Decimal | None] = mapped_column(Wad)
    execution_fee_wad: Mapped[Decimal] = mapped_column(Wad)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    status: Mapped[str] = mapped_column(Text)
    executed_price_wad: Mapped[Decimal | None] = mapped_column(Wad)
    executed_size_wad: Mapped[Decimal | None] = mapped_column(Wad)
    keeper: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(Moment)
    created_block_number: Mapped[int] = mapped_column(BigInteger)
    created_log_index: Mapped[int] = mapped_column(Integer)
    created_block_hash: Mapped[bytes] = mapped_column(LargeBinary)
    created_transaction_hash: Mapped[bytes] = mapped_column(LargeBinary)
    changed_at: Mapped[datetime] = mapped_column(Moment)
    block_number: Mapped[int] = mapped_column(BigInteger)
    log_index: Mapped[int] = mapped_column(Integer)
    block_hash: Mapped[bytes] = mapped_column(LargeBinary)
    transaction_hash: Mapped[bytes] = mapped_column(LargeBinary)
