"""`/v1/jobs` and `/v1/job-kinds`: submit, poll, list, cancel, retry, resolve."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response, g, request

from app.accounts.services.audit import record
from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_origin, current_principal, require
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import after_commit, current_session
from app.jobs import schemas
from app.jobs.routes.edge import (
    POLL_AFTER_SECONDS,
    accepted,
    allow,
    at_most_once,
    batch_body,
    batch_item,
    edge,
    idempotency_key,
    listed_principal,
    replay_header,
    reply,
    show,
    show_kind,
    submission,
    whose,
)
from app.jobs.services import callbacks, control, reading
from app.jobs.services.enqueue import enqueue_row
from app.jobs.services.submit import new_job, submit_all
from app.jobs.types import TERMINAL, JobFilter, Status

blueprint = Blueprint("jobs", __name__, url_prefix="/v1", description="Submit work and follow it")


@blueprint.route("/jobs", methods=["POST"])
@require("jobs:write")
@blueprint.arguments(schemas.NewJobSchema)
@blueprint.response(202, schemas.JobSchema)
def submit(body: dict[str, Any]) -> Response:
    """Submit a job.

    `Idempotency-Key` makes a repeated request give the first answer. `Prefer: wait=10` waits for the end, if it can.
    """
    key = idempotency_key()
    job = new_job(body, submission(key))

    if key is None and edge().together.takes(job.kind):
        edge().backlogs.check(current_session, job.kind.queue)
        row = edge().together.enqueue(job)
        edge().waker.wake(job.kind.queue)
        return accepted(show(row), False)

    def act() -> dict[str, Any]:
        edge().backlogs.check(current_session, job.kind.queue)
        return show(enqueue_row(current_session(), job))

    answer, replayed = at_most_once(key, "POST /v1/jobs", act)
    return accepted(answer, replayed)


@blueprint.route("/jobs/batch", methods=["POST"])
@require("jobs:write")
@blueprint.arguments(schemas.BatchSchema)
@blueprint.response(200, schemas.BatchAnswerSchema)
def submit_batch(body: dict[str, Any]) -> Response:
    """Submit up to a hundred jobs; each is accepted or refused by itself, all in one transaction."""
    key = idempotency_key()

    def act() -> dict[str, Any]:
        answers = submit_all(current_session(), [batch_body(item) for item in body["jobs"]], submission(key))
        return {"data": [batch_item(answer) for answer in answers]}

    answer, replayed = at_most_once(key, "POST /v1/jobs/batch", act)
    return reply(answer, 200, replay_header(replayed))


@blueprint.route("/jobs/<uuid:job_id>", methods=["GET"])
@require("jobs:read")
@blueprint.response(200, schemas.JobSchema)
def get(job_id: UUID) -> Response:
    """A job, while it is kept; `Retry-After` until it is done. A failed job is a 200 with its `error`."""
    job = reading.get_job(current_session(), job_id, principal=whose("ops:read"))
    answer = reply(show(job), 200, {} if Status(job.status) in TERMINAL else {"Retry-After": POLL_AFTER_SECONDS})
    answer.add_etag()
    answer.make_conditional(request)
    return answer


@blueprint.route("/jobs", methods=["GET"])
@require("jobs:read")
@blueprint.arguments(schemas.JobQuery, location="query")
@blueprint.response(200, schemas.JobPage)
def list_all(query: dict[str, Any]) -> Response:
    """Jobs, newest first; your own unless you hold ops:read and say `principal`.

    Where several filters leave little, a page may be short, or empty, and still have a `next_cursor`: follow it.
    """
    cursor, limit = query.pop("cursor"), query.pop("limit")
    wanted = JobFilter(principal=listed_principal(query.pop("principal", None)), **query)
    found = reading.list_jobs(current_session(), wanted, cursor=cursor, limit=limit)
    body, headers = page_answer(found)
    return reply(body | {"data": [show(job) for job in found.items]}, 200, headers)


@blueprint.route("/jobs/<uuid:job_id>/cancel", methods=["POST"])
@require("jobs:cancel")
@blueprint.response(202, schemas.JobSchema)
def cancel(job_id: UUID) -> Response:
    """Cancel: a queued job ends at once, a running one at its next step or heartbeat."""
    job = control.cancel_job(current_session(), job_id, principal=whose("ops:write"))
    record(current_session(), current_origin(), "jobs.cancel", f"job:{job_id}")
    return reply(show(job), 202, {"Location": f"/v1/jobs/{job.id}"})


@blueprint.route("/jobs/<uuid:job_id>/retry", methods=["POST"])
@require("jobs:write")
@blueprint.response(202, schemas.JobSchema)
def retry(job_id: UUID) -> Response:
    """Run an ended job again, as a new job."""
    key = idempotency_key()

    def act() -> dict[str, Any]:
        session = current_session()
        old = reading.get_job(session, job_id, principal=whose("ops:write"))
        kind = edge().menu.kinds.get(old.kind)
        allow(kind)
        if kind is not None:
            edge().backlogs.check(current_session, kind.queue)
        new_id = control.retry_job(session, job_id, edge().menu, principal=None, request_id=g.request_id)
        return show(reading.get_job(session, new_id, principal=None))

    answer, replayed = at_most_once(key, f"POST /v1/jobs/{job_id}/retry", act)
    return accepted(answer, replayed)


@blueprint.route("/jobs/<uuid:job_id>/resolve", methods=["POST"])
@require("ops:write")
@blueprint.arguments(schemas.ResolveSchema)
@blueprint.response(200, schemas.JobSchema)
def resolve(body: dict[str, Any], job_id: UUID) -> Response:
    """Say what became of a job in doubt: succeeded, failed, or to be done again."""
    job = control.resolve_job(current_session(), job_id, Status(body["status"]))
    record(current_session(), current_origin(), "jobs.resolve", f"job:{job_id}", body)
    after_commit(edge().waker.wake)
    return reply(show(job))


@blueprint.route("/job-kinds", methods=["GET"])
@require("jobs:read")
@blueprint.response(200, schemas.JobKindsSchema)
def kinds() -> Response:
    """The menu: every kind with the JSON Schema of its parameters."""
    return reply({"data": [show_kind(kind) for _, kind in sorted(edge().menu.kinds.items())]})


@blueprint.route("/callback-key", methods=["GET"])
@require("jobs:write")
@blueprint.response(200, schemas.CallbackKeySchema)
def own_callback_key() -> Response:
    """The key that signs callbacks to you: check `Watchkeeper-Signature` with it."""
    key = callbacks.callback_key(edge().callback_secret, current_principal().id)
    return reply({"algorithm": "HMAC-SHA256", "key": key.hex()})
