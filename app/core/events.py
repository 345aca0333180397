"""Domain events: rows of `outbox`, written in the transaction of the change they tell of.

The dispatcher numbers them after the commit and publishes them to a Redis Stream; a reader sees each number once and in
order. What an event says of its subject's present state is kept beside it, as the subject's latest, for readers who
come later. Payloads are JSON: integers of money as strings, times RFC 3339, no secrets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, cast
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Identity, Index, Table, Text, func, insert, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, Session, mapped_column

from app.core.db import Base, new_id

STREAM = "watchkeeper:events"
"""The one stream of all events, in the broker; an entry's id is the event's number."""

LATEST = "watchkeeper:latest:"
"""In the broker: a topic's latest, a hash by subject; each value is `<number> <time> <payload>`."""

LATEST_READY = "watchkeeper:latest_ready"
"""There while those hashes are whole: Redis has lost nothing of them that was not put back."""

TOLD = "told"
"""In `Session.info`: events were written, so that after the commit the dispatcher is worth waking."""

MARKER = "-"
"""The topic of an entry that is no event: what came before it and is not there is lost."""


class Standing(StrEnum):
    """What an event is to those who ask for the present state."""

    FACT = "fact"  # it happened, and leaves nothing to keep
    STATE = "state"  # its payload is what its subject is now
    END = "end"  # its subject is no more


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Something that happened: `topic` like `markets`, `subject` like a market's id."""

    topic: str
    subject: str
    payload: Mapping[str, Any]
    standing: Standing = Standing.FACT


class OutboxEvent(Base):
    """One thing that happened; `number` is null until the dispatcher has taken it in.

    `place` is the order in which rows were written: of two events of a row that is locked while it changes, the later
    one has the higher, whatever the clocks of their writers say.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        CheckConstraint("standing IN ('fact', 'state', 'end')", name="standing"),
        Index("ix_outbox_unnumbered", "place", postgresql_where=text("number IS NULL")),
        Index("ix_outbox_unpublished", "number", postgresql_where=text("published_at IS NULL AND number IS NOT NULL")),
        Index("uq_outbox_number", "number", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    topic: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    standing: Mapped[str] = mapped_column(Text, server_default=text("'fact'"))
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    place: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    number: Mapped[int | None] = mapped_column(BigInteger)
    published_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class OutboxLatest(Base):
    """What each subject was last said to be: from here Redis gets back what it lost. A row a living subject."""

    __tablename__ = "outbox_latest"

    topic: Mapped[str] = mapped_column(Text, primary_key=True)
    subject: Mapped[str] = mapped_column(Text, primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    payload: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))


TABLE = cast(Table, OutboxEvent.__table__)


def emit(
    session: Session, topic: str, subject: str, payload: Mapping[str, Any], standing: Standing = Standing.FACT
) -> None:
    """Record that something happened; commits with the caller."""
    emit_all(session, [NewEvent(topic, subject, payload, standing)])


def emit_all(session: Session, events: Sequence[NewEvent]) -> None:
    """Record that several things happened, in this order. O(events), many a statement."""
    if not events:
        return
    rows = [
        {
            "id": new_id(),
            "topic": event.topic,
            "subject": event.subject,
            "payload": dict(event.payload),
            "standing": event.standing,
        }
        for event in events
    ]
    session.info[TOLD] = True
    # RETURNING makes the driver send many rows a statement; sorted by it, the rows keep their order.
    session.execute(insert(TABLE).returning(TABLE.c.id, sort_by_parameter_order=True), rows)
