"""Jobs and schedules as HTTP shows and takes them."""

from __future__ import annotations

from marshmallow import Schema, fields, validate

from app.core.http.pages import page_schema
from app.core.http.schema import Bool, Int, StrictSchema, Text, Time, one_of
from app.core.paging import PageQuery
from app.jobs.types import Queue, Status

VIEWS = ("scheduled", "retrying")
MAX_BATCH = 100


class JobSchema(Schema):
    """A job. `status` may be `scheduled` (queued, for later) or `retrying` (queued after a failed attempt)."""

    id = fields.UUID()
    kind = fields.String()
    status = fields.String(metadata={"enum": [*Status, *VIEWS]})
    done = fields.Boolean(metadata={"description": "true when nothing about the job changes any more"})
    queue = fields.String()
    priority = fields.Integer()
    params = fields.Dict()
    progress = fields.Dict(
        allow_none=True,
        metadata={
            "description": "`pct` of 100, `stage`, `message`, and `eta_at`: when it will be done at its recent pace,"
            " null while that is not known"
        },
    )
    result = fields.Dict(allow_none=True)
    error = fields.Dict(allow_none=True)
    attempt = fields.Integer()
    max_attempts = fields.Integer()
    crashes = fields.Integer()
    fence = fields.Integer()
    run_at = Time()
    expires_at = Time(allow_none=True)
    cancel_requested_at = Time(allow_none=True)
    created_at = Time()
    started_at = Time(allow_none=True)
    finished_at = Time(allow_none=True)
    schedule = fields.String(allow_none=True)
    slot_at = Time(allow_none=True)
    callback_url = fields.String(allow_none=True)
    retried_from = fields.UUID(allow_none=True)
    request_id = fields.String(allow_none=True)
    links = fields.Dict(fields.String(), fields.String(), metadata={"description": "`self`: where it is read again"})


class NewJobSchema(StrictSchema):
    """What a client submits."""

    kind = Text(required=True)
    params = fields.Dict(load_default=dict)
    priority = Int(load_default=5, validate=validate.Range(0, 9), metadata={"description": "0 is first"})
    run_at = Time(load_default=None, allow_none=True, metadata={"description": "not before this time"})
    expires_at = Time(load_default=None, allow_none=True, metadata={"description": "not started after this time"})
    max_attempts = Int(load_default=None, allow_none=True, validate=validate.Range(1, 100))
    callback_url = Text(load_default=None, allow_none=True, validate=validate.Length(1, 2000))


class BatchSchema(StrictSchema):
    """Up to a hundred jobs; each is taken or refused by itself."""

    jobs = fields.List(fields.Dict(), required=True, validate=validate.Length(1, MAX_BATCH))


class BatchItemSchema(Schema):
    """What became of one item of a batch: a job, or a problem."""

    status = fields.Integer(metadata={"description": "202, or the problem's status"})
    job = fields.Nested(JobSchema, allow_none=True)
    problem = fields.Dict(allow_none=True)


class BatchAnswerSchema(Schema):
    """One item for each of the request's, in their order."""

    data = fields.List(fields.Nested(BatchItemSchema))


class JobQuery(PageQuery):
    """Filters of the job list."""

    status = Text(validate=one_of(*Status))
    kind = Text()
    queue = Text(validate=one_of(*Queue))
    schedule = Text()
    principal = Text(metadata={"description": "another principal's jobs, or `*` for everybody's: needs ops:read"})
    created_after = Time()
    created_before = Time()


JobPage = page_schema(JobSchema)


class ResolveSchema(StrictSchema):
    """An operator's word on a job in doubt."""

    status = Text(required=True, validate=one_of(Status.SUCCEEDED, Status.FAILED, Status.QUEUED))


class JobKindSchema(Schema):
    """A kind on the menu."""

    name = fields.String()
    summary = fields.String()
    queue = fields.String()
    scope = fields.String(allow_none=True)
    timeout_seconds = fields.Integer()
    max_attempts = fields.Integer()
    bulk = fields.Boolean()
    idempotency_key_required = fields.Boolean()
    params_schema = fields.Dict(metadata={"description": "JSON Schema of `params`"})


class JobKindsSchema(Schema):
    """The menu."""

    data = fields.List(fields.Nested(JobKindSchema))


class CallbackKeySchema(Schema):
    """What a receiver of callbacks checks signatures with."""

    algorithm = fields.String()
    key = fields.String(metadata={"description": "hexadecimal"})


class CadenceSchema(StrictSchema):
    """An interval, or a crontab with its time zone."""

    interval_seconds = Int(load_default=None, allow_none=True, validate=validate.Range(1, 366 * 86_400))
    crontab = Text(load_default=None, allow_none=True, validate=validate.Length(1, 200))
    time_zone = Text(load_default="UTC", validate=validate.Length(1, 60))


class SlotSchema(Schema):
    """What became of a slot, or of `slots` skipped ones from this one on."""

    slot_at = Time()
    job_id = fields.UUID(allow_none=True)
    skipped = fields.String(allow_none=True)
    slots = fields.Integer()


class ScheduleSchema(Schema):
    """A schedule and the cadence in force."""

    name = fields.String()
    summary = fields.String()
    kind = fields.String()
    params = fields.Dict()
    cadence = fields.Nested(CadenceSchema)
    overridden = fields.Boolean()
    paused = fields.Boolean()
    catch_up = fields.String()
    overlap = fields.String()
    next_at = Time()
    mark_at = Time()
    updated_at = Time()
    slots = fields.List(fields.Nested(SlotSchema))


class SchedulesSchema(Schema):
    """All schedules."""

    data = fields.List(fields.Nested(ScheduleSchema))


class ScheduleChangeSchema(StrictSchema):
    """What an operator may change; `cadence: null` goes back to the deployment's own."""

    paused = Bool()
    cadence = fields.Nested(CadenceSchema, allow_none=True)
