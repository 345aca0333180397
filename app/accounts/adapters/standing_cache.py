"""What was last read of a session's or key's standing, trusted for a few seconds, and marks that end the trust at once.

Postgres always decides. A process trusts what it read for `trust_seconds`, unless the cache Redis holds a mark saying
that something about it has changed; each standing asks at most once in `LOOK_SECONDS`. Whoever marks waits that long,
so that once a revocation is answered, nobody trusts a look from before it. Marks outlive the trust. A
flush takes the marks away, and with them the epoch, a random word that each entry keeps from its reading: under another
one it is not trusted. So only a Redis that does not answer costs promptness: a revoked token then works for at most
`trust_seconds` more.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar, cast

from redis import Redis
from redis.exceptions import RedisError

from app.accounts.types import EPOCH, MARK, MARK_SECONDS
from app.core.logging import get_logger

LOOK_SECONDS = 0.025
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


@dataclass(slots=True)
class Entry:
    """What was read, when, and under which epoch (None: Redis did not answer then); and when Redis was asked last."""

    read_at: float
    epoch: object
    standing: Standing
    asked_at: float


class StandingCache:
    """One a process, for all kinds of standing. Threads share it: each touch of its dictionaries is one operation."""

    def __init__(
        self,
        redis: Redis,
        *,
        trust_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._redis = redis
        self._trust_seconds = trust_seconds
        self._clock = clock
        self._wait = wait
        self._entries: dict[str, Entry] = {}
        self._used: dict[str, float] = {}
        self._redis_paused_until = 0.0

    def recall(self, name: str, read: Callable[[], S | None]) -> S | None:
        """The standing under `name`, remembered while it may be trusted, otherwise read; None when there is none.

        A name is always read as the same kind: names start with it.
        """
        if self._trust_seconds <= 0:
            return read()
        now = self._clock()
        known = self._entries.get(name)
        if known and now - known.asked_at < LOOK_SECONDS:
            return cast(S, known.standing)
        epoch, is_marked = self._ask_redis(known.standing.subjects if known else ())
        is_same = known is not None and (epoch is None or epoch == known.epoch) and not is_marked
        if known and is_same and now - known.read_at < self._trust_seconds:
            known.asked_at = now
            return cast(S, known.standing)
        standing = read()
        if standing is None:
            self._entries.pop(name, None)
        else:
            # As old as the read's beginning, and under the epoch of before it.
            _put(self._entries, name, Entry(now, epoch, standing, now))
        return standing

    def mark_changed(self, *subjects: str) -> None:
        """To be called after the commit of a change to a session, a key or a user: everybody asks Postgres again.

        Returns when everybody does: LOOK_SECONDS later.
        """
        self._entries.clear()
        lifetime_ms = max(int(self._trust_seconds * 1000) + 1000, MARK_SECONDS * 1000)
        try:
            seconds, microseconds = self._redis.time()
            with self._redis.pipeline(transaction=False) as pipeline:
                for subject in subjects:
                    pipeline.set(MARK + subject, seconds * 1000 + microseconds // 1000, px=lifetime_ms)
                pipeline.execute()
        except RedisError:
            log.warning("accounts.mark_lost", subjects=subjects)
            return
        if self._trust_seconds > 0:
            self._wait(LOOK_SECONDS)

    def is_use_due(self, name: str) -> bool:
        """True at most once a minute for each name: when to note that a key was used."""
        now = self._clock()
        last = self._used.get(name)
        if last is not None and now - last < USE_SECONDS:
            return False
        _put(self._used, name, now)
        return True

    def _ask_redis(self, subjects: tuple[str, ...]) -> tuple[object, bool]:
        """The epoch, and whether any of the subjects is marked; a Redis that does not answer is left alone a second."""
        if self._clock() < self._redis_paused_until:
            return None, False
        try:
            epoch, *marks = self._redis.mget(EPOCH, *(MARK + subject for subject in subjects))
            if epoch is None:  # the first of all, or flushed: one of the processes that see it begins another
                self._redis.set(EPOCH, secrets.token_hex(8), nx=True)
                epoch = self._redis.get(EPOCH)
        except RedisError:
            self._redis_paused_until = self._clock() + REDIS_PAUSE_SECONDS
            log.warning("accounts.cache_unavailable")
            return None, False
        return epoch, any(mark is not None for mark in marks)


V = TypeVar("V")


def _put(entries: dict[str, V], name: str, value: V) -> None:
    if len(entries) >= MAX_ENTRIES:
        entries.clear()
    entries[name] = value
