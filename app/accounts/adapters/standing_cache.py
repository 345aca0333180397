"""What was last read of a session's or key's standing, trusted for a few seconds, and marks that end the trust at once.

Postgres always decides. A process trusts what it read for `trust_seconds`, unless the cache Redis holds a mark saying
that something about it has changed, or has lost its memory since: one key tells that it was not emptied. Each standing
asks for its marks at most once in `LOOK_SECONDS`. Marks live just longer than the trust, so a dead Redis costs only
promptness: a revoked token then works for at most `trust_seconds` more.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast
from uuid import uuid4

from redis import Redis
from redis.exceptions import RedisError

from app.core.logging import get_logger

PREFIX = "wk:changed:"
MEMORY = "wk:changes:remembered"
LOOK_SECONDS = 0.005
MAX_ENTRIES = 20_000
REDIS_PAUSE_SECONDS = 1.0
USE_SECONDS = 60.0

log = get_logger(__name__)


class Standing(Protocol):
    """What can be cached: it names those whose changes make it stale."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """Ids of sessions, keys and users."""


S = TypeVar("S", bound=Standing)


@dataclass
class Known:
    """A standing, when it was read, and when its marks were last looked for."""

    standing: Standing
    read_at: float
    looked_at: float


class StandingCache:
    """One a process, for all kinds of standing. Threads share it: each touch of its dictionaries is one operation."""

    def __init__(self, redis: Redis, *, trust_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._trust_seconds = trust_seconds
        self._clock = clock
        self._entries: dict[str, Known] = {}
        self._used: dict[str, float] = {}
        self._memory: bytes | str | None = None
        self._redis_paused_until = 0.0

    def recall(self, name: str, read: Callable[[], S | None]) -> S | None:
        """The standing under `name`, remembered while it may be trusted, otherwise read; None when there is none.

        A name is always read as the same kind: names start with it.
        """
        now = self._clock()
        known = self._entries.get(name)
        if known and now - known.read_at < self._trust_seconds and not self._has_changed(known, now):
            return cast(S, known.standing)
        standing = read()
        if standing is None:
            self._entries.pop(name, None)
        else:
            _put(self._entries, name, Known(standing, now, now))  # as old as the read's beginning
        return standing

    def mark_changed(self, *subjects: str) -> None:
        """To be called after the commit of a change to a session, a key or a user: everybody asks Postgres again."""
        self._entries.clear()
        if self._trust_seconds <= 0:
            return
        try:
            with self._redis.pipeline(transaction=False) as pipeline:
                for subject in subjects:
                    pipeline.set(PREFIX + subject, b"1", px=int(self._trust_seconds * 1000) + 1000)
                pipeline.execute()
        except RedisError:
            log.warning("accounts.mark_lost", subjects=subjects)

    def is_use_due(self, name: str) -> bool:
        """True at most once a minute for each name: when to note that a key was used."""
        now = self._clock()
        last = self._used.get(name)
        if last is not None and now - last < USE_SECONDS:
            return False
        _put(self._used, name, now)
        return True

    def _has_changed(self, known: Known, now: float) -> bool:
        """Whether it must be read again; a Redis that does not answer is left alone for a second."""
        if now - known.looked_at < LOOK_SECONDS or now < self._redis_paused_until:
            return False
        known.looked_at = now
        try:
            memory, *marks = self._redis.mget(MEMORY, *(PREFIX + subject for subject in known.standing.subjects))
            if memory is None:
                self._redis.set(MEMORY, uuid4().hex, nx=True)
        except RedisError:
            self._redis_paused_until = self._clock() + REDIS_PAUSE_SECONDS
            log.warning("accounts.cache_unavailable")
            return False
        if memory is None or memory != self._memory:
            # Emptied since the last look: marks may be gone with it, so nothing read before counts.
            self._entries.clear()
            self._memory = memory
            return True
        return any(mark is not None for mark in marks)


V = TypeVar("V")


def _put(entries: dict[str, V], name: str, value: V) -> None:
    if len(entries) >= MAX_ENTRIES:
        entries.clear()
    entries[name] = value
