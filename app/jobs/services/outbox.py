"""From committed rows to the event stream: numbered once, published in order, again after a crash without harm."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from app.core.failpoints import failpoint
from app.jobs.adapters.event_stream import EventStream
from app.jobs.queries import outbox as queries

BATCH = 500


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
    stream.publish(events)
    failpoint("outbox.publish.after")
    queries.mark_published(session, events[-1].number)
    commit()
    return len(events)
