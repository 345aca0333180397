"""From committed rows to the event stream: numbered once, published in order, again after a crash without harm."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from app.core.failpoints import failpoint
from app.core.logging import get_logger
from app.jobs.adapters.event_stream import EventStream
from app.jobs.queries import outbox as queries

BATCH = 500
log = get_logger(__name__)


def publish_events(session: Session, stream: EventStream, *, commit: Callable[[], None]) -> int:
    """Number and publish up to a batch of events; returns how many were published.

    The numbers are committed before anybody sees them. Two dispatchers may publish the same numbers; the stream keeps
    one.
    """
    if not queries.has_unpublished(session):
        return 0
    numbered = queries.number_new(session, BATCH)
    commit()
    if not numbered:
        return 0
    events = queries.unpublished(session, BATCH)
    commit()
    if not events:
        return 0
    failpoint("outbox.publish.before")
    if not stream.publish(events):
        restore(session, stream)
        commit()
        return 0  # the next round publishes them
    failpoint("outbox.publish.after")
    queries.mark_published(session, events[-1].number)
    commit()
    return len(events)


def restore_lost(session: Session, stream: EventStream) -> int:
    """Give Redis back what it lost (it was flushed, or came back older), when it did; how many subjects."""
    return 0 if stream.is_whole(queries.last_published(session)) else restore(session, stream)


def restore(session: Session, stream: EventStream) -> int:
    """Write every subject's latest to Redis anew; 0 when another dispatcher is at work. O(subjects).

    The lock, kept until the caller's commit, keeps the latest from moving meanwhile.
    """
    if not queries.lock(session):
        return 0
    stream.begin_restore()
    subjects = 0
    for rows in queries.latest(session, BATCH):
        stream.restore(rows)
        subjects += len(rows)
    stream.end_restore(queries.last_published(session))
    log.info("events_restored", subjects=subjects)
    return subjects
