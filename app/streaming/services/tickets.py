"""Issuing a ticket: what it may read is decided here, by the API, and by nobody later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.errors import Forbidden, InvalidInput
from app.core.http.principal import Principal
from app.jobs.services.watch import watch_job
from app.oracle.services.feeds import get_feeds
from app.streaming.adapters.tickets import Tickets
from app.streaming.errors import TopicUnknown
from app.streaming.maths.topics import ALL, SCOPES, parse_topic
from app.streaming.types import Topic


def issue_ticket(
    session: Session,
    tickets: Tickets,
    authenticate: Callable[[], Principal],
    names: Sequence[str],
    *,
    pointer: str,
    max_topics: int,
) -> tuple[str, list[str]]:
    """A ticket for these topics, and their names as the stream will say them.

    The caller is authenticated after the ticket's time was noted: what changes from then on ends it. `pointer` is where
    the names stand in the request; a price may be named by its symbol. A job tells of itself from now on. Raises
    TopicUnknown, Forbidden for a scope that is missing, FeedUnknown, JobNotFound (also for another's job), Unavailable.
    """
    if len(names) > max_topics:
        raise InvalidInput(errors=[{"pointer": pointer, "detail": f"More than {max_topics}."}])
    issued_ms = tickets.now_ms()
    principal = authenticate()
    topics = [_known(session, principal, name, pointer) for name in names]
    for topic in topics:
        if topic.family == "jobs":
            whose = None if principal.may("ops:read") else principal.id
            watch_job(session, UUID(topic.name.removeprefix("jobs:")), principal=whose)
    unique = list(dict.fromkeys(topic.name for topic in topics))
    return tickets.put(principal, tuple(unique), issued_ms), unique


def _known(session: Session, principal: Principal, name: str, pointer: str) -> Topic:
    family, _, rest = name.partition(":")
    scope = SCOPES.get(family)
    if scope is not None and not principal.may(scope):
        raise Forbidden(f"{family} needs the scope {scope}.", required_scope=scope)
    if family == "prices" and rest not in ("", ALL):
        name = f"prices:0x{get_feeds(session, [rest])[0].feed.id.hex()}"
    try:
        return parse_topic(name)
    except TopicUnknown as error:
        raise TopicUnknown(errors=[{"pointer": pointer, "detail": error.detail}]) from error
