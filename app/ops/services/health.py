"""Readiness: what this process needs, and whether the system behind it makes progress."""

from __future__ import annotations

from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.chain.services.history import sets_without_history
from app.jobs.services.progress import queue_progress


@dataclass(frozen=True, slots=True)
class Check:
    """One answer; `needed` ones make the whole not ready. A fault names no host, user or secret."""

    name: str
    fault: str | None
    needed: bool = True


def check_all(session: Session, *, broker: Redis, cache: Redis) -> list[Check]:
    """Every check, the failed ones with their reason. Without a cache or a broker the API still accepts and answers;
    without a protocol's history it says so where that is asked for.
    """
    found = [
        Check("broker", _ping(broker), needed=False),
        Check("cache", _ping(cache), needed=False),
    ]
    try:
        progress = queue_progress(session)
        unread = sets_without_history(session)
    except SQLAlchemyError as error:
        return [Check("database", f"It does not answer ({type(error).__name__})."), *found]
    return [
        Check("database", None),
        Check("queue", progress.queue_fault),
        Check("schedules", progress.schedule_fault),
        Check("history", f"Still being read: {', '.join(unread)}." if unread else None, needed=False),
        *found,
    ]


def _ping(redis: Redis) -> str | None:
    try:
        redis.ping()
    except RedisError as error:
        return f"It does not answer ({type(error).__name__})."
    return None
