"""Filling the window of published messages, and publishing again what got lost. Leaderless: any number of replicas."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row
from sqlalchemy.orm import Session

from app.core.failpoints import failpoint
from app.core.logging import get_logger
from app.jobs.adapters.celery_broker import CeleryBroker, Message
from app.jobs.errors import EffectInDoubt, Poisoned
from app.jobs.jobs import DELIVER_CALLBACK
from app.jobs.queries import dispatch as queries
from app.jobs.services.enqueue import enqueue
from app.jobs.types import SYSTEM, JobKind, Menu, NewJob

log = get_logger(__name__)
SWEPT_AT_ONCE = 250


def publish_ready(
    connection: Connection, broker: CeleryBroker, menu: Menu, windows: Mapping[str, int], *, bulk_size: int
) -> int:
    """Publish what is ready, up to each queue's window; returns how many jobs. `connection` commits by itself.

    Marked and committed first, published after: dying in between leaves a message missing, which `resend_lost` finds;
    the other order would make workers wait for our commit. O(published), whatever the backlog.
    """
    rows = queries.fill(connection, windows)
    known = [(menu.kinds[row.kind], row) for row in rows if row.kind in menu.kinds]
    if len(known) < len(rows):
        log.error("unknown_kinds_in_queue", kinds=sorted({row.kind for row in rows} - menu.kinds.keys()))
    messages = [Message(kind, (row.id,), row.dispatch_count) for kind, row in known if not kind.bulk]
    messages += _bulk_messages([(kind, row) for kind, row in known if kind.bulk], bulk_size)
    if messages:
        failpoint("dispatch.publish.before")
        broker.publish(messages)
        failpoint("dispatch.publish.after")
    return len(rows)


def _bulk_messages(rows: Sequence[tuple[JobKind, Row[Any]]], size: int) -> list[Message]:
    by_kind: dict[str, list[tuple[JobKind, Row[Any]]]] = {}
    for kind, row in rows:
        by_kind.setdefault(kind.name, []).append((kind, row))
    return [
        Message(group[0][0], tuple(row.id for _, row in part), part[0][1].dispatch_count)
        for group in by_kind.values()
        for part in (group[start : start + size] for start in range(0, len(group), size))
    ]


def resend_lost(session: Session, broker: CeleryBroker, menu: Menu, *, bulk_size: int, after_seconds: float) -> int:
    """Free for publishing again what Redis has lost; returns how many jobs.

    A queue shorter than what was published and not claimed has lost messages, or workers hold them: the doubling gap
    of the statement tells the two apart. An emptied Redis (no sentinel) loses all at once. A bulk kind's jobs count as
    the fewest messages that hold them: one lost among fuller ones is missed only when the queue has run shorter.
    """
    jobs: Counter[str] = Counter()
    messages: Counter[str] = Counter()
    for (queue, kind), count in queries.outstanding(session).items():
        bulk = kind in menu.kinds and menu.kinds[kind].bulk
        jobs[queue] += count
        messages[queue] += math.ceil(count / bulk_size) if bulk else count
    if broker.was_emptied():
        count = queries.forget_all(session)
        log.warning("broker_was_empty", jobs=count)
        return count
    depths = broker.depths(messages)
    missing = {queue: sent - depths[queue] for queue, sent in messages.items() if sent > depths[queue]}
    return sum(
        queries.forget(session, queue, missing=math.ceil(lost * jobs[queue] / messages[queue]), after=after_seconds)
        for queue, lost in missing.items()
    )


def rescue_and_expire(session: Session, *, max_crashes: int) -> int:
    """Take jobs from dead workers and end those whose time has passed; returns how many changed."""
    rescued = queries.rescue(
        session,
        max_crashes=max_crashes,
        poisoned=json.dumps(Poisoned().as_dict()),
        in_doubt=json.dumps(EffectInDoubt().as_dict()),
    )
    for row in rescued:
        log.warning(
            "lease_expired", job_id=str(row.id), kind=row.kind, now=row.status, crashes=row.crashes, worker=row.worker
        )
    return len(rescued) + len(queries.expire(session))


def start_callbacks(session: Session) -> int:
    """Make a delivery job for each callback that is due, in one transaction with the note of it."""
    due = queries.due_callbacks(session)
    if not due:
        return 0
    jobs = [NewJob(kind=DELIVER_CALLBACK, params={"job_id": str(job)}, principal=SYSTEM) for job in due]
    made = [enqueue(session, job) for job in jobs]
    queries.mark_callbacks(session, list(zip(due, made, strict=True)))
    return len(due)


def sweep(session: Session, *, archive_after_seconds: float) -> bool:
    """Move a batch of ended jobs to the archive and forget expired keys; true when either batch was full."""
    archived = queries.archive(session, after=archive_after_seconds, most=SWEPT_AT_ONCE)
    dropped = queries.drop_old_keys(session, most=SWEPT_AT_ONCE)
    return SWEPT_AT_ONCE in (archived, dropped)
