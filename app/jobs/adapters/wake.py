"""The wake-up after a commit: a Redis publish that may be lost, because the dispatcher also polls."""

from __future__ import annotations

import time

from redis import Redis
from redis.exceptions import RedisError

from app.core.logging import get_logger

WAKE_CHANNEL = "watchkeeper:dispatcher:wake"
EVERY_QUEUE = ""
log = get_logger(__name__)


class Waker:
    """Wakes the dispatchers, at most once in `gap_seconds` a process and queue: one serves all commits before it."""

    def __init__(self, redis: Redis, gap_seconds: float):
        self._redis = redis
        self._gap = gap_seconds
        self._last: dict[str, float] = {}

    def wake(self, queue: str = EVERY_QUEUE) -> None:
        """Tell the dispatchers to look now, into one queue where that is all that changed.

        Never raises for a Redis that is gone: their poll finds the work.
        """
        now = time.monotonic()
        if now - self._last.get(queue, 0.0) < self._gap:
            return
        self._last[queue] = now
        try:
            self._redis.publish(WAKE_CHANNEL, queue)
        except RedisError as error:
            log.warning("wake_up_lost", reason=type(error).__name__)
