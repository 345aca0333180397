"""Update data that was fetched a moment ago, so that clients who ask together cost one request to Hermes.

What Hermes grants an address serves the workers first: they must not be starved by readers of the API.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from threading import Lock

from app.oracle.errors import SourceUnavailable
from app.oracle.types.updates import TransactionUpdate

MOST = 64
PATIENCE_SECONDS = 2.0


class RecentUpdates:
    """Gives what `fetch` gave for the same feeds at most `seconds` ago; one caller fetches, the others wait for it."""

    def __init__(self, fetch: Callable[[Collection[bytes]], TransactionUpdate], seconds: float) -> None:
        self._fetch = fetch
        self._seconds = seconds
        self._lock = Lock()
        self._found: dict[frozenset[bytes], tuple[float, TransactionUpdate]] = {}

    def __call__(self, feeds: Collection[bytes]) -> TransactionUpdate:
        """Verified update data of exactly these feeds; raises what `fetch` raises, and remembers no failure.

        Who waits too long for another's request is told to come back: a slow Hermes must not take every thread.
        """
        wanted = frozenset(feeds)
        if not self._lock.acquire(timeout=PATIENCE_SECONDS):
            raise SourceUnavailable("The price source is slow; try again.", retry_after_seconds=1.0)
        try:
            known = self._found.get(wanted)
            if known is not None and time.monotonic() - known[0] < self._seconds:
                return known[1]
            if len(self._found) >= MOST:
                self._found.clear()
            update = self._fetch(feeds)
            self._found[wanted] = (time.monotonic(), update)
            return update
        finally:
            self._lock.release()
