"""The queue's own job kinds."""

from __future__ import annotations

from marshmallow import fields, validate

from app.core.http.schema import Int, StrictSchema, Text
from app.jobs.types import JobKind, Queue


class DeliverCallbackParams(StrictSchema):
    """Which ended job to tell about."""

    job_id = fields.UUID(required=True)


class ProbeParams(StrictSchema):
    """What the probe does: `steps` steps of `step_milliseconds` each."""

    steps = Int(load_default=1, validate=validate.Range(1, 1000), metadata={"description": "committed steps"})
    step_milliseconds = Int(load_default=0, validate=validate.Range(0, 10_000))
    note = Text(load_default="", metadata={"description": "given back in the result"})


DELIVER_CALLBACK = JobKind(
    name="jobs.deliver_callback",
    summary="Tell a client's callback address that its job has ended.",
    params=DeliverCallbackParams,
    queue=Queue.DEFAULT,
    scope=None,
    timeout_seconds=30,
    max_attempts=10,
    backoff_seconds=5.0,
    backoff_cap_seconds=3600.0,
)

PROBE = JobKind(
    name="jobs.probe",
    summary="Go through the whole queue and do nothing else: proves that submission, workers and polling work.",
    params=ProbeParams,
    queue=Queue.DEFAULT,
    scope="jobs:write",
    timeout_seconds=900,
)

MENU = (DELIVER_CALLBACK, PROBE)
