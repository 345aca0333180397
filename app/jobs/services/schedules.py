"""Schedules: seeding, the beat's tick, and what operators may change. No double firing, whatever the number of
beats.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.errors import InvalidInput
from app.core.logging import get_logger
from app.jobs.errors import ScheduleNotFound
from app.jobs.maths import aligned_anchor, cadence_fault, due_slots, next_slot, slots_to_run
from app.jobs.models import Schedule, ScheduleSlot
from app.jobs.queries import schedules as queries
from app.jobs.services.enqueue import Refused, enqueue, enqueue_all, get_kind
from app.jobs.types import SYSTEM, Cadence, CatchUp, Menu, NewJob, ScheduleEntry

log = get_logger(__name__)


def cadence_of(schedule: Schedule) -> Cadence:
    """The cadence in force: the operators' override, or the deployment's own."""
    if schedule.override_interval_seconds is not None or schedule.override_crontab is not None:
        return Cadence(
            interval_seconds=schedule.override_interval_seconds,
            crontab=schedule.override_crontab,
            time_zone=schedule.override_time_zone or "UTC",
        )
    return Cadence(interval_seconds=schedule.interval_seconds, crontab=schedule.crontab, time_zone=schedule.time_zone)


def seed(session: Session, entries: Sequence[ScheduleEntry]) -> None:
    """Bring the rows in line with the deployment's table; overrides, pauses and marks stay as they are."""
    now = queries.database_now(session)
    for entry in entries:
        fault = cadence_fault(entry.cadence)
        if fault:
            raise ValueError(f"schedule {entry.name}: {fault}")
        schedule = session.get(Schedule, entry.name, with_for_update=True)
        if schedule is None:
            schedule = Schedule(name=entry.name)
            _describe(schedule, entry)
            _anchor(schedule, now)
            session.add(schedule)
            continue
        before = cadence_of(schedule)
        was_retired = schedule.retired
        _describe(schedule, entry)
        if cadence_of(schedule) != before or was_retired:
            _anchor(schedule, now)
    queries.retire_others(session, [entry.name for entry in entries])


def _describe(schedule: Schedule, entry: ScheduleEntry) -> None:
    schedule.summary = entry.summary
    schedule.kind = entry.kind.name
    schedule.params = dict(entry.params)
    schedule.interval_seconds = entry.cadence.interval_seconds
    schedule.crontab = entry.cadence.crontab
    schedule.time_zone = entry.cadence.time_zone
    schedule.catch_up = entry.catch_up
    schedule.catch_up_limit = entry.catch_up_limit
    schedule.catch_up_window_seconds = entry.catch_up_window_seconds
    schedule.overlap = entry.overlap
    schedule.retired = False


def _anchor(schedule: Schedule, now: datetime) -> None:
    cadence = cadence_of(schedule)
    schedule.anchor_at = aligned_anchor(now, cadence.interval_seconds) if cadence.interval_seconds else now
    schedule.mark_at = now
    schedule.next_at = next_slot(cadence, schedule.anchor_at, now)


def tick(session: Session, menu: Menu) -> str | None:
    """Fire the most overdue schedule; returns its name, or None when nothing is due. The caller commits after each.

    One transaction: the row lock, the slots since the mark, their jobs, the new mark. A beat that dies in between
    leaves nothing; one that comes second finds the row locked or the mark moved. O(slots run).
    """
    schedule = queries.lock_due(session)
    if schedule is None:
        return None
    now = queries.database_now(session)
    cadence = cadence_of(schedule)
    due = due_slots(cadence, schedule.anchor_at, schedule.mark_at, now)
    window = timedelta(seconds=schedule.catch_up_window_seconds)
    run = slots_to_run(due, CatchUp(schedule.catch_up), schedule.catch_up_limit, window, now)
    if due.count > len(run):
        left_out = due.count - len(run)
        queries.record_slot(session, schedule.name, due.first, job_id=None, skipped="catch_up", slots=left_out)
        log.warning("slots_skipped", schedule=schedule.name, slots=left_out, reason="catch_up")
    if run:
        _fire(session, schedule, run, menu)
    if due.count:
        schedule.mark_at = due.newest[-1]
    schedule.next_at = next_slot(cadence, schedule.anchor_at, max(now, schedule.mark_at))
    return schedule.name


def _fire(session: Session, schedule: Schedule, slots: Sequence[datetime], menu: Menu) -> None:
    kind = get_kind(menu, schedule.kind)
    jobs = [
        NewJob(kind=kind, params=schedule.params, principal=SYSTEM, schedule=schedule.name, slot_at=slot)
        for slot in slots
    ]
    for slot, answer in zip(slots, enqueue_all(session, jobs), strict=True):
        if isinstance(answer, Refused):
            queries.record_slot(session, schedule.name, slot, job_id=None, skipped="overlap")
        else:
            queries.record_slot(session, schedule.name, slot, job_id=answer, skipped=None)


def list_schedules(session: Session) -> Sequence[Schedule]:
    """All schedules of the present deployment, by name."""
    return queries.list_schedules(session)


def newest_slots(session: Session, name: str, limit: int) -> Sequence[ScheduleSlot]:
    """What became of a schedule's last slots, newest first."""
    return queries.list_slots(session, name, limit)


def get_schedule(session: Session, name: str) -> Schedule:
    """The schedule, to look at; raises ScheduleNotFound."""
    return _there(queries.find_schedule(session, name))


def lock_schedule(session: Session, name: str) -> Schedule:
    """The schedule, locked for a change; raises ScheduleNotFound."""
    return _there(queries.lock_schedule(session, name))


def _there(schedule: Schedule | None) -> Schedule:
    if schedule is None:
        raise ScheduleNotFound()
    return schedule


def pause(session: Session, name: str, paused: bool) -> Schedule:
    """Stop a schedule, or let it go on; the slots of the pause are then treated as those of an outage."""
    schedule = lock_schedule(session, name)
    schedule.paused = paused
    schedule.updated_at = queries.database_now(session)
    return schedule


def set_cadence(session: Session, name: str, cadence: Cadence | None) -> Schedule:
    """Override the cadence, or (None) go back to the deployment's; slots count from now. Raises InvalidInput."""
    if cadence is not None:
        fault = cadence_fault(cadence)
        if fault:
            raise InvalidInput(fault, errors=[{"pointer": "/cadence", "detail": fault}])
    schedule = lock_schedule(session, name)
    schedule.override_interval_seconds = cadence.interval_seconds if cadence else None
    schedule.override_crontab = cadence.crontab if cadence else None
    schedule.override_time_zone = cadence.time_zone if cadence else None
    now = queries.database_now(session)
    in_force = cadence_of(schedule)
    schedule.anchor_at = schedule.mark_at = schedule.updated_at = now
    schedule.next_at = next_slot(in_force, now, now)
    return schedule


def run_now(session: Session, name: str, menu: Menu, *, principal: str, request_id: str | None) -> UUID:
    """Enqueue the schedule's job at once, outside its slots; raises AlreadyLive when it is running or queued."""
    schedule = lock_schedule(session, name)
    kind = get_kind(menu, schedule.kind)
    params: dict[str, Any] = dict(schedule.params)
    return enqueue(session, NewJob(kind=kind, params=params, principal=principal, request_id=request_id))
