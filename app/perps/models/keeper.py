"""What the keeper has seen to, and what it waits for."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Integer,
    Text,
)
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
    """A position whose liquidation failed, why, and until when the scan leaves it alone.

    At most one row an open position; it goes when the position ends or a liquidation is planned.
    """

    __tablename__ = "perps_keeper_backoffs"

    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    reason: Mapped[str] = mapped_column(Text)
    detail: Mapped[str] = mapped_column(Text)
    until: Mapped[datetime] = mapped_column(Moment)
    failed_at: Mapped[datetime] = mapped_column(Moment)
