"""Schedules and their slots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.jobs.models import Schedule, ScheduleSlot

DATABASE_NOW = text("SELECT statement_timestamp()")


def database_now(session: Session) -> datetime:
    """The one clock that schedules go by."""
    now: datetime = session.scalars(DATABASE_NOW).one()
    return now


def lock_due(session: Session) -> Schedule | None:
    """The most overdue schedule that no other beat is working on."""
    return session.scalar(
        select(Schedule)
        .where(~Schedule.paused, ~Schedule.retired, Schedule.next_at <= text("statement_timestamp()"))
        .order_by(Schedule.next_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )


def lock_schedule(session: Session, name: str) -> Schedule | None:
    """One schedule, locked; waits for a beat that is working on it."""
    return session.scalar(select(Schedule).where(Schedule.name == name, ~Schedule.retired).with_for_update())


def find_schedule(session: Session, name: str) -> Schedule | None:
    """One schedule, as it is."""
    return session.scalar(select(Schedule).where(Schedule.name == name, ~Schedule.retired))


def list_schedules(session: Session) -> Sequence[Schedule]:
    """All schedules of the present deployment, by name."""
    return session.scalars(select(Schedule).where(~Schedule.retired).order_by(Schedule.name)).all()


def list_slots(session: Session, schedule: str, limit: int) -> Sequence[ScheduleSlot]:
    """The newest slots of a schedule, newest first."""
    return session.scalars(
        select(ScheduleSlot).where(ScheduleSlot.schedule == schedule).order_by(ScheduleSlot.slot_at.desc()).limit(limit)
    ).all()


def retire_others(session: Session, names: Sequence[str]) -> None:
    """Schedules that the deployment no longer has stop firing; their history stays."""
    session.execute(update(Schedule).where(Schedule.name.not_in(names)).values(retired=True))


def record_slot(
    session: Session, schedule: str, slot_at: datetime, *, job_id: UUID | None, skipped: str | None, slots: int = 1
) -> None:
    """What became of a slot, or of `slots` skipped ones from this on. A slot that is there already is an error."""
    values: dict[str, Any] = {"schedule": schedule, "slot_at": slot_at, "job_id": job_id, "skipped": skipped}
    session.execute(insert(ScheduleSlot).values(**values, slots=slots))
