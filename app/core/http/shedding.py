"""Load shedding: so many requests are served at once, a few more wait a moment, the rest are refused at once.

A refusal comes before the cache, the caller's credentials or the database are looked at, so that it costs next to
nothing, and an API asked for more than it can do still does what it can. The server runs more threads than there are
places (`places.server_threads`): requests would otherwise wait in front of it, uncounted. Probes have their own places.
"""

from __future__ import annotations

import random

from flask import Flask, g, request

from app.core.errors import Overloaded
from app.core.http.places import PATIENCE_SECONDS, PROBE_PLACES, WAITING_PER_PLACE, Places

LONGEST_RETRY_SECONDS = 3

ALWAYS = frozenset({"/health/live"})
PROBES = frozenset({"/health/ready", "/metrics"})
UNCOUNTED = frozenset({"/health/live", "/health/ready"})
"""No rate limit: whoever restarts an API that does not answer probes must not be answered 429. Places bound them."""


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
