"""Operations' job kinds."""

from __future__ import annotations

from app.core.http.schema import StrictSchema
from app.jobs.types import JobKind, Queue


class NoParams(StrictSchema):
    """Nothing to say."""


PRUNE = JobKind(
    name="ops.prune",
    summary="Make the coming partitions, drop the old ones, forget what is kept for a while only.",
    params=NoParams,
    queue=Queue.DEFAULT,
    scope="ops:write",
    timeout_seconds=1800,
    overlap_key=lambda params: "ops.prune",
)

MENU = (PRUNE,)
