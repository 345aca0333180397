"""What the keeper has seen to, and what it waits for."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base

Moment = TIMESTAMP(timezone=True)


class PerpsFundingSlot(Base):
    """An hour of a market's funding that was seen to: by which transaction, or none when the chain had settled already.

    Grows by one row a market and hour.
    """

    __tablename__ = "perps_funding_slots"

    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    market_id: Mapped[str] = mapped_column(Text, primary_key=True)
    slot_at: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    intent_id: Mapped[UUID | None]
    recorded_at: Mapped[datetime] = mapped_column(Moment)


class PerpsKeeperBackoff(Base):
    """A position whose liquidation failed, or an order whose execution did, why, and until when the scan leaves it
    alone.

    At most one row an open position and one an open order; it goes when that ends or its transaction is planned.
    """

    __tablename__ = "perps_keeper_backoffs"

    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    action: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    until: Mapped[datetime] = mapped_column(Moment)
    failed_at: Mapped[datetime] = mapped_column(Moment)


class PerpsKeeperAction(Base):
    """A transaction that a keeper planned, and when: the price was published, it was seen that there is something to
    do, the transaction was first broadcast, its block was mined. `outcome` is the transaction's end, empty until then.

    Grows by one row a transaction planned. The times are the keeper's clock but for the price's and the block's own.
    """

    __tablename__ = "perps_keeper_actions"
    __table_args__ = (
        CheckConstraint("(included_at IS NULL) = (block_number IS NULL)", name="included"),
        Index("ix_perps_keeper_actions_detected", "detected_at", "intent_id"),
        Index("ix_perps_keeper_actions_live", "protocol", postgresql_where=text("outcome IS NULL")),
    )

    intent_id: Mapped[UUID] = mapped_column(primary_key=True)
    protocol: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    key: Mapped[str] = mapped_column(Text)
    market_id: Mapped[str] = mapped_column(Text)
    price_published_at: Mapped[datetime] = mapped_column(Moment)
    detected_at: Mapped[datetime] = mapped_column(Moment)
    planned_at: Mapped[datetime] = mapped_column(Moment)
    broadcast_at: Mapped[datetime | None] = mapped_column(Moment)
    included_at: Mapped[datetime | None] = mapped_column(Moment)
    block_number: Mapped[int | None] = mapped_column(BigInteger)
    outcome: Mapped[str | None] = mapped_column(Text)
