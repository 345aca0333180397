"""How many requests an API process serves at once, and what server and database need for it. Imports no Flask."""

from __future__ import annotations

from threading import Semaphore

WAITING_PER_PLACE = 2
PATIENCE_SECONDS = 0.5
PROBE_PLACES = 2
SPARE_THREADS = 6


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
