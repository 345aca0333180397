"""Refusing what would only wait: how many jobs each queue holds, counted seldom, and asked at every submission."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock

from sqlalchemy.orm import Session

from app.core.db import OpenSession
from app.jobs.errors import QueueFull
from app.jobs.queries import backlog as queries
from app.jobs.types import Queue

COUNTED_FOR_SECONDS = 1.0
SHARE_OF_TIME = 50
RETRY_SECONDS = 5.0


class Backlogs:
    """One a process. A queue that holds `most` jobs or more takes no more from clients; our own always go in.

    A count is good for a second, or for fifty times what counting took if that is longer, so that it never takes more
    than a fiftieth of one thread. Meanwhile a queue may grow beyond `most` by what comes in.
    """

    def __init__(self, most: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = most
        self._clock = clock
        self._counting = Lock()
        self._full: dict[Queue, bool] = {}
        self._good_until: dict[Queue, float] = {}

    def check(self, open_session: OpenSession, queue: Queue) -> None:
        """Raise QueueFull when the queue was full at its last count. Counts anew, in one thread, when that is old."""
        if self._clock() >= self._good_until.get(queue, 0.0) and self._counting.acquire(blocking=False):
            try:
                self._count(open_session(), queue)
            finally:
                self._counting.release()
        if self._full.get(queue, False):
            raise QueueFull(f"{queue} holds {self._most} jobs or more.", retry_after_seconds=RETRY_SECONDS)

    def _count(self, session: Session, queue: Queue) -> None:
        started = self._clock()
        self._full[queue] = queries.count_waiting(session, queue, self._most) >= self._most
        ended = self._clock()
        self._good_until[queue] = ended + max(COUNTED_FOR_SECONDS, SHARE_OF_TIME * (ended - started))
