"""Domain events: rows of `outbox`, written in the transaction of the change they tell of.

The dispatcher numbers them after the commit and publishes them to a Redis Stream; a reader sees each number once and in
order. Payloads are JSON: integers of money as strings, times RFC 3339, no secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, Index, Text, func, insert, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.core.db import Base, new_id


class OutboxEvent(Base):
    """One thing that happened; `number` is null until the dispatcher has taken it in."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index("ix_outbox_unnumbered", "id", postgresql_where=text("number IS NULL")),
        Index("ix_outbox_unpublished", "number", postgresql_where=text("published_at IS NULL AND number IS NOT NULL")),
        Index("uq_outbox_number", "number", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    topic: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    number: Mapped[int | None] = mapped_column(BigInteger)
    published_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


def emit(session: Session, topic: str, subject: str, payload: Mapping[str, Any]) -> None:
    """Record that something happened: `topic` like `positions`, `subject` like an address; commits with the caller."""
    session.execute(insert(OutboxEvent).values(id=new_id(), topic=topic, subject=subject, payload=dict(payload)))
