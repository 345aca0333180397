"""Load shedding: so many requests are served at once, a few more wait a moment, the rest are refused at once.

A refusal comes before the cache, the caller's credentials or the database are looked at, so that it costs next to
nothing, and an API asked for more than it can do still does what it can. The server runs more threads than there are
places (`server_threads`): requests would otherwise wait in front of it, uncounted. Probes have places of their own.
"""

from __future__ import annotations

import random
from threading import Semaphore

from flask import Flask, g, request

from app.core.errors import Overloaded

WAITING_PER_PLACE = 2
PATIENCE_SECONDS = 0.5
PROBE_PLACES = 2
SPARE_THREADS = 6
LONGEST_RETRY_SECONDS = 3

ALWAYS = frozenset({"/health/live"})
PROBES = frozenset({"/health/ready", "/metrics"})
UNCOUNTED = frozenset({"/health/live", "/health/ready"})
"""No rate limit: whoever restarts an API that does not answer probes must not be answered 429. Places bound them."""


class Places:
    """Requests served at once; `waiting` more may wait for a place, up to `patience_seconds`."""

    def __init__(self, places: int, *, waiting: int, patience_seconds: float) -> None:
        self._free = Semaphore(places)
        self._line = Semaphore(waiting)
        self._patience_seconds = patience_seconds

    def enter(self) -> bool:
        """Take a place; false when none is free and the line is full, or none came free in time."""
        if self._free.acquire(blocking=False):
            return True
        if not self._line.acquire(blocking=False):
            return False
        try:
            return self._free.acquire(timeout=self._patience_seconds)
        finally:
            self._line.release()

    def leave(self) -> None:
        """Give the place back."""
        self._free.release()


def server_threads(places: int) -> int:
    """How many threads the server needs: for those served, those waiting, the probes, and to refuse the rest."""
    return places * (1 + WAITING_PER_PLACE) + PROBE_PLACES + SPARE_THREADS


def connections(places: int) -> int:
    """How many database connections: whoever has a place never waits for one."""
    return places + PROBE_PLACES


def install_shedding(app: Flask, *, places: int) -> None:
    """Count requests from here on; register before anything that asks the cache or the database."""
    callers = Places(places, waiting=places * WAITING_PER_PLACE, patience_seconds=PATIENCE_SECONDS)
    probes = Places(PROBE_PLACES, waiting=PROBE_PLACES, patience_seconds=PATIENCE_SECONDS)

    def _enter() -> None:
        if request.path in ALWAYS:
            return
        mine = probes if request.path in PROBES else callers
        if not mine.enter():
            # Spread, lest all of them come back at once.
            raise Overloaded(retry_after_seconds=random.randint(1, LONGEST_RETRY_SECONDS))  # noqa: S311
        g.places = mine

    def _leave(_error: BaseException | None) -> None:
        mine: Places | None = g.pop("places", None)
        if mine is not None:
            mine.leave()

    app.before_request(_enter)
    app.teardown_appcontext(_leave)  # after the session has given its connection back: teardowns run last first
