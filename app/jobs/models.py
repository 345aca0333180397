"""The queue's tables. What holds whatever the code does stands here and in the triggers of migration 0002."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, new_id
from app.jobs.types import BUSY, LIVE, TERMINAL, UNLUCKY, Status

Moment = TIMESTAMP(timezone=True)
NOW = text("statement_timestamp()")


def in_list(statuses: frozenset[Status]) -> str:
    """`status IN (…)`, for constraints and partial indexes."""
    return "status IN (" + ", ".join(f"'{status}'" for status in sorted(statuses)) + ")"


class JobColumns:
    """The columns of a job, shared by the live table and the archive."""

    kind: Mapped[str] = mapped_column(Text)
    principal: Mapped[str] = mapped_column(Text)
    queue: Mapped[str] = mapped_column(Text)
    priority: Mapped[int] = mapped_column(SmallInteger)
    status: Mapped[str] = mapped_column(Text)
    params: Mapped[dict[str, Any]] = mapped_column(JSONB)
    run_at: Mapped[datetime] = mapped_column(Moment, server_default=NOW)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    attempt: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    max_attempts: Mapped[int] = mapped_column(Integer)
    crashes: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    fence: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    worker: Mapped[str | None] = mapped_column(Text)
    cancel_requested_at: Mapped[datetime | None] = mapped_column(Moment)
    overlap_key: Mapped[str | None] = mapped_column(Text)
    serial_key: Mapped[str | None] = mapped_column(Text)
    schedule: Mapped[str | None] = mapped_column(Text)
    slot_at: Mapped[datetime | None] = mapped_column(Moment)
    progress: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    callback_url: Mapped[str | None] = mapped_column(Text)
    retried_from: Mapped[UUID | None] = mapped_column()
    request_id: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=NOW)
    started_at: Mapped[datetime | None] = mapped_column(Moment)


class Job(JobColumns, Base):
    """A job that is live, or ended not long ago."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint(in_list(frozenset(Status)), name="status"),
        CheckConstraint(
            "(status = 'running') = (claim_token IS NOT NULL) AND (status = 'running') = (lease_until IS NOT NULL)",
            name="running_has_a_lease",
        ),
        CheckConstraint(f"({in_list(TERMINAL)}) = (finished_at IS NOT NULL)", name="ended_has_a_time"),
        CheckConstraint("attempt BETWEEN 0 AND max_attempts", name="attempts_bounded"),
        CheckConstraint("priority BETWEEN 0 AND 9", name="priority"),
        CheckConstraint("NOT blocked OR (status = 'queued' AND serial_key IS NOT NULL)", name="blocked_is_queued"),
        # No update of a row is without a new entry in every index that the row is in, and a job is updated three times:
        # each index is as small as its statements allow. A key that most jobs have not is no reason to be in one.
        Index(
            "uq_jobs_schedule_slot_at",
            "schedule",
            "slot_at",
            unique=True,
            postgresql_where=text("schedule IS NOT NULL"),
        ),
        Index(
            "uq_jobs_overlap_key_live",
            "overlap_key",
            unique=True,
            postgresql_where=text(f"overlap_key IS NOT NULL AND {in_list(LIVE)}"),
        ),
        Index(
            "uq_jobs_serial_key_busy",
            "serial_key",
            unique=True,
            postgresql_where=text(f"serial_key IS NOT NULL AND {in_list(BUSY)}"),
        ),
        # A serial key's live jobs in their order: who is next, and is anybody before me.
        Index(
            "ix_jobs_serial_order",
            "serial_key",
            text("coalesce(slot_at, '-infinity'::timestamptz)"),
            "id",
            postgresql_where=text(f"serial_key IS NOT NULL AND {in_list(LIVE)}"),
        ),
        # What the dispatcher may publish, in the order in which it does.
        Index(
            "ix_jobs_ready",
            "queue",
            "priority",
            "run_at",
            "id",
            postgresql_where=text("status = 'queued' AND dispatched_at IS NULL AND NOT blocked"),
        ),
        # Published and not claimed yet: the window, at most a few hundred rows a queue.
        Index(
            "ix_jobs_window",
            "queue",
            "dispatched_at",
            postgresql_where=text("status = 'queued' AND dispatched_at IS NOT NULL"),
        ),
        # Which leases hold, and lists by status. `lease_until` is in no index, so that a heartbeat touches none.
        Index("ix_jobs_busy", "status", "id", postgresql_where=text(in_list(BUSY))),
        Index("ix_jobs_unlucky", "status", "id", postgresql_where=text(in_list(UNLUCKY))),
        Index(
            "ix_jobs_expiry",
            "expires_at",
            postgresql_where=text("status = 'queued' AND expires_at IS NOT NULL"),
        ),
        Index("ix_jobs_ended", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
        Index("ix_jobs_principal_id", "principal", "id"),
        Index("ix_jobs_principal_status_id", "principal", "status", "id"),
        Index("ix_jobs_schedule_id", "schedule", "id", postgresql_where=text("schedule IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    claim_token: Mapped[UUID | None] = mapped_column()
    lease_until: Mapped[datetime | None] = mapped_column(Moment)
    blocked: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    cursor: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    dispatched_at: Mapped[datetime | None] = mapped_column(Moment)
    dispatch_count: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    watched: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))


class ArchivedJob(JobColumns, Base):
    """A job that ended; partitioned by the day of its end, so that old days are dropped and never deleted."""

    __tablename__ = "jobs_archive"
    __table_args__ = (
        Index("ix_jobs_archive_principal_id", "principal", "id"),
        Index("ix_jobs_archive_principal_status_id", "principal", "status", "id"),
        Index("ix_jobs_archive_status_id", "status", "id", postgresql_where=text(in_list(BUSY | UNLUCKY))),
        Index("ix_jobs_archive_schedule_id", "schedule", "id", postgresql_where=text("schedule IS NOT NULL")),
        {"postgresql_partition_by": "RANGE (finished_at)"},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    finished_at: Mapped[datetime] = mapped_column(Moment, primary_key=True)


class JobKey(Base):
    """An Idempotency-Key: what was asked, and the first answer. Written in the transaction of its jobs."""

    __tablename__ = "job_keys"
    __table_args__ = (Index("ix_job_keys_expires_at", "expires_at"),)

    principal: Mapped[str] = mapped_column(Text, primary_key=True)
    route: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    expires_at: Mapped[datetime] = mapped_column(Moment)


class JobCallback(Base):
    """A call to make because a job ended; the trigger that ends the job inserts it."""

    __tablename__ = "job_callbacks"
    __table_args__ = (
        Index("ix_job_callbacks_waiting", "created_at", postgresql_where=text("delivery_job_id IS NULL")),
    )

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    url: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=NOW)
    delivery_job_id: Mapped[UUID | None] = mapped_column()
    delivered_at: Mapped[datetime | None] = mapped_column(Moment)


class Effect(Base):
    """An outside effect, by its business subject: written before it is tried."""

    __tablename__ = "effects"
    __table_args__ = (
        CheckConstraint("phase IN ('sending', 'done')", name="phase"),
        Index("ix_effects_unsettled", "job_id", postgresql_where=text("phase = 'sending' AND NOT repeatable")),
    )

    effect_key: Mapped[str] = mapped_column(Text, primary_key=True)
    job_id: Mapped[UUID] = mapped_column()
    repeatable: Mapped[bool] = mapped_column(Boolean)
    phase: Mapped[str] = mapped_column(Text)
    response: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=NOW)
    done_at: Mapped[datetime | None] = mapped_column(Moment)


class Schedule(Base):
    """A row of `tasks/schedule.py`, with the operators' overrides in columns that a deploy leaves alone."""

    __tablename__ = "schedules"
    __table_args__ = (
        CheckConstraint("(interval_seconds IS NULL) <> (crontab IS NULL)", name="one_cadence"),
        CheckConstraint("override_interval_seconds IS NULL OR override_crontab IS NULL", name="at_most_one_override"),
        CheckConstraint("catch_up IN ('none', 'latest', 'all')", name="catch_up"),
        CheckConstraint("overlap IN ('skip', 'queue')", name="overlap"),
        Index("ix_schedules_next_at", "next_at", postgresql_where=text("NOT paused AND NOT retired")),
    )

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    summary: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    params: Mapped[dict[str, Any]] = mapped_column(JSONB)
    interval_seconds: Mapped[int | None] = mapped_column(Integer)
    crontab: Mapped[str | None] = mapped_column(Text)
    time_zone: Mapped[str] = mapped_column(Text)
    catch_up: Mapped[str] = mapped_column(Text)
    catch_up_limit: Mapped[int] = mapped_column(Integer)
    catch_up_window_seconds: Mapped[int] = mapped_column(Integer)
    overlap: Mapped[str] = mapped_column(Text)
    retired: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    paused: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    override_interval_seconds: Mapped[int | None] = mapped_column(Integer)
    override_crontab: Mapped[str | None] = mapped_column(Text)
    override_time_zone: Mapped[str | None] = mapped_column(Text)
    anchor_at: Mapped[datetime] = mapped_column(Moment)
    mark_at: Mapped[datetime] = mapped_column(Moment)
    next_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment, server_default=NOW)


class ScheduleSlot(Base):
    """What became of a slot: a job, or the first of `slots` skipped ones, with the reason."""

    __tablename__ = "schedule_slots"
    __table_args__ = (
        CheckConstraint("(job_id IS NULL) = (skipped IS NOT NULL)", name="job_or_skipped"),
        CheckConstraint("skipped IN ('overlap', 'catch_up')", name="skipped"),
    )

    schedule: Mapped[str] = mapped_column(ForeignKey("schedules.name", ondelete="CASCADE"), primary_key=True)
    slot_at: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    job_id: Mapped[UUID | None] = mapped_column()
    skipped: Mapped[str | None] = mapped_column(Text)
    slots: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=NOW)
