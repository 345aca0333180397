"""Kinds that do nothing: what the queue alone costs."""

from __future__ import annotations

from app.core.http.schema import StrictSchema
from app.jobs.types import JobKind, Menu, Queue
from app.menu import MENU


class NoParams(StrictSchema):
    """Nothing to say."""


# The claim may commit asynchronously: there is no outside effect and no step.
NOOP = JobKind(
    name="bench.noop",
    summary="Does nothing.",
    params=NoParams,
    queue=Queue.DEFAULT,
    scope="jobs:write",
    fast_claim=True,
)
# As a kind must be that has outside effects or steps: the claim waits for the disk.
NOOP_SAFE_CLAIM = JobKind(
    name="bench.noop_safe_claim", summary="Does nothing.", params=NoParams, queue=Queue.DEFAULT, scope="jobs:write"
)
NOOP_BULK = JobKind(
    name="bench.noop_bulk",
    summary="Does nothing, many a message.",
    params=NoParams,
    queue=Queue.BULK,
    scope="jobs:write",
    fast_claim=True,
    bulk=True,
)
BENCH_MENU = Menu.of(tuple(MENU.kinds.values()), (NOOP, NOOP_SAFE_CLAIM, NOOP_BULK))
