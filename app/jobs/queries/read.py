"""Reading jobs back: the live table first, then the archive. Every list walks an index by id, newest first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, TextClause, and_, func, or_, select, text, true, tuple_, union_all
from sqlalchemy.orm import Session

from app.jobs.models import ArchivedJob, Job, in_list
from app.jobs.types import BUSY, UNLUCKY, JobFilter

MOST_WALKED = 500
"""Rows of each table that one page looks at: what several filters together leave out costs no more than this."""

# A page is a walk down an index, in a small table too; whatever the statistics say, nothing is scanned or sorted.
WALK_ONLY = text(
    "SELECT set_config(name, 'off', true) FROM (VALUES"
    " ('enable_seqscan'), ('enable_bitmapscan'), ('enable_sort'), ('enable_incremental_sort')) AS planner(name)"
)
FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)

NEVER_MILLISECONDS = 253_402_300_800_000
"""The year 10000, which neither Python nor Postgres's driver can hold."""

SHOWN = (
    "id",
    "kind",
    "principal",
    "queue",
    "priority",
    "status",
    "params",
    "run_at",
    "expires_at",
    "attempt",
    "max_attempts",
    "crashes",
    "fence",
    "cancel_requested_at",
    "overlap_key",
    "serial_key",
    "schedule",
    "slot_at",
    "progress",
    "result",
    "error",
    "callback_url",
    "retried_from",
    "request_id",
    "created_at",
    "started_at",
    "finished_at",
)
FILTERS = ("principal", "status", "kind", "queue", "schedule")


def find_job(session: Session, job_id: UUID) -> Row[Any] | None:
    """A job, live or archived. Two statements at the most; the archive's reads the partitions since the job was
    made.
    """
    live = session.execute(job_by_id(job_id)).one_or_none()
    if live is not None:
        return live
    made_at_milliseconds = job_id.int >> 80
    if made_at_milliseconds >= NEVER_MILLISECONDS:  # no id of ours: a client may ask for any
        return None
    made_at = datetime.fromtimestamp(made_at_milliseconds / 1000, tz=UTC)
    return session.execute(
        _select(ArchivedJob).where(ArchivedJob.id == job_id, ArchivedJob.finished_at >= made_at)
    ).one_or_none()


def live_statuses(session: Session, ids: Sequence[UUID]) -> dict[UUID, str]:
    """The statuses of those of these jobs that are in the live table. O(ids)."""
    return {row.id: row.status for row in session.execute(select(Job.id, Job.status).where(Job.id.in_(ids)))}


def job_by_id(job_id: UUID) -> Select[Any]:
    """One live job."""
    return _select(Job).where(Job.id == job_id)


def list_jobs(session: Session, wanted: JobFilter, *, before: UUID | None, limit: int) -> Sequence[Row[Any]]:
    """The rows of `page_of_jobs`."""
    session.execute(WALK_ONLY)
    return session.execute(page_of_jobs(wanted, before=before, limit=limit)).all()


def page_of_jobs(wanted: JobFilter, *, before: UUID | None, limit: int) -> Select[Any]:
    """The newest `limit` jobs older than `before`, from both tables, each with `matches` and `is_last_walked`.

    Each half walks one index and stops after MOST_WALKED rows. The row it stops at comes too, matching or not: of what
    lies below it in its table nothing is known yet. O(limit + MOST_WALKED), whatever the filters leave out.
    """
    walked_by = _walked_by(wanted)
    halves = [select(_page(model, wanted, walked_by, before, limit).subquery()) for model in (Job, ArchivedJob)]
    both = union_all(*halves).subquery()
    return select(both).order_by(*_newest_first(both.c, walked_by)).limit(limit + 1)


def _page(model: Any, wanted: JobFilter, walked_by: Sequence[str], before: UUID | None, limit: int) -> Select[Any]:
    chosen = _walk_bounds(model, wanted, walked_by, before)
    in_order = _newest_first(model, walked_by)
    walked = _select(model).where(*chosen).order_by(*in_order).limit(MOST_WALKED).subquery()
    checked = (walked.c[name] == getattr(wanted, name) for name in left_out_by(wanted))
    matches: ColumnElement[bool] = and_(true(), *checked)
    place = func.row_number().over(order_by=_newest_first(walked.c, walked_by))
    seen = select(walked, matches.label("matches"), (place == MOST_WALKED).label("is_last_walked")).subquery()
    told = or_(seen.c.matches, seen.c.is_last_walked)
    return select(seen).where(told).order_by(*_newest_first(seen.c, walked_by)).limit(limit + 1)


def _walked_by(wanted: JobFilter) -> tuple[str, ...]:
    """The filters that an index begins with."""
    if wanted.schedule is not None:
        return ("schedule",)
    if wanted.principal is not None:
        return ("principal",) if wanted.status is None else ("principal", "status")
    return ("status",) if wanted.status in BUSY | UNLUCKY else ()


def left_out_by(wanted: JobFilter) -> list[str]:
    """The filters that no index answers: they are checked row by row."""
    walked_by = _walked_by(wanted)
    return [name for name in FILTERS if name not in walked_by and getattr(wanted, name) is not None]


def _walk_bounds(
    model: Any, wanted: JobFilter, walked_by: Sequence[str], before: UUID | None
) -> Iterator[ColumnElement[bool] | TextClause]:
    """The part of the index to walk, as a range of whole keys.

    Equalities would leave the planner the choice of walking the primary key instead, past everybody's rows: it cannot
    know that the ones wanted are all old.
    """
    ends = [LAST_ID if before is None else before]
    if wanted.created_before is not None:
        ends.append(_first_id(wanted.created_before))
    start = FIRST_ID if wanted.created_after is None else _first_id(wanted.created_after)
    key = tuple_(*(getattr(model, name) for name in walked_by), model.id)
    fixed = [getattr(wanted, name) for name in walked_by]
    yield key < tuple_(*fixed, min(ends))
    yield key >= tuple_(*fixed, start)
    # What the partial indexes say of themselves.
    if walked_by == ("schedule",):
        yield model.schedule.is_not(None)
    elif walked_by == ("status",):
        yield text(in_list(BUSY if wanted.status in BUSY else UNLUCKY))


def _newest_first(columns: Any, walked_by: Sequence[str]) -> list[ColumnElement[Any]]:
    """The index's own order, backwards: all but the id are the same in every row."""
    return [getattr(columns, name).desc() for name in (*walked_by, "id")]


def _select(model: Any) -> Select[Any]:
    return select(*(getattr(model, name) for name in SHOWN))


def _first_id(moment: datetime) -> UUID:
    """The smallest UUIDv7 of a moment: ids are in the order of their making, so a time is a range of ids."""
    return UUID(int=int(moment.timestamp() * 1000) << 80)
