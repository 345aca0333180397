"""`/v1/jobs` and `/v1/job-kinds`: submit, poll, list, cancel, retry, resolve."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import g

from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_principal, require
from app.core.http.unit_of_work import after_commit, current_session
from app.jobs import schemas
from app.jobs.routes.edge import (
    POLL_AFTER_SECONDS,
    Answer,
    accepted,
    allow,
    at_most_once,
    batch_item,
    edge,
    idempotency_key,
    replay_header,
    show,
    show_kind,
    whose,
)
from app.jobs.services import reading
from app.jobs.services.enqueue import enqueue
from app.jobs.services.submit import new_job, submit_all
from app.jobs.types import TERMINAL, Status

blueprint = Blueprint("jobs", __name__, url_prefix="/v1", description="Submit work and follow it")


@blueprint.route("/jobs", methods=["POST"])
@require("jobs:write")
@blueprint.arguments(schemas.NewJobSchema)
@blueprint.response(202, schemas.JobSchema)
def submit(body: dict[str, Any]) -> Answer:
    """Submit a job.

    `Idempotency-Key` makes a repeated request give the first answer. `Prefer: wait=10` waits for the end, if it can.
    """
    key = idempotency_key()
    job = new_job(body, edge().menu, current_principal(), request_id=g.request_id, has_key=key is not None)

    def act() -> dict[str, Any]:
        job_id = enqueue(current_session(), job)
        return show(reading.get_job(current_session(), job_id, principal=None))

    answer, replayed = at_most_once(key, "POST /v1/jobs", act)
    return accepted(answer, replayed)


@blueprint.route("/jobs/batch", methods=["POST"])
@require("jobs:write")
@blueprint.arguments(schemas.BatchSchema)
@blueprint.response(200, schemas.BatchAnswerSchema)
def submit_batch(body: dict[str, Any]) -> Answer:
    """Submit up to a hundred jobs; each is accepted or refused by itself, all in one transaction."""
    key = idempotency_key()

    def act() -> dict[str, Any]:
        session = current_session()
        answers = submit_all(
            session,
            body["jobs"],
            edge().menu,
            current_principal(),
            request_id=g.request_id,
            has_key=key is not None,
        )
        found = reading.get_jobs(session, [answer for answer in answers if isinstance(answer, UUID)])
        return {"data": [batch_item(answer, found) for answer in answers]}

    answer, replayed = at_most_once(key, "POST /v1/jobs/batch", act)
    return answer, 200, replay_header(replayed)


@blueprint.route("/jobs/<uuid:job_id>", methods=["GET"])
@require("jobs:read")
@blueprint.response(200, schemas.JobSchema)
def get(job_id: UUID) -> Answer:
    """A job, while it is kept; `Retry-After` until it is done. A failed job is a 200 with its `error`."""
    job = reading.get_job(current_session(), job_id, principal=whose("ops:read"))
    return show(job), 200, {} if Status(job.status) in TERMINAL else {"Retry-After": POLL_AFTER_SECONDS}


@blueprint.route("/jobs", methods=["GET"])
@require("jobs:read")
@blueprint.arguments(schemas.JobQuery, location="query")
@blueprint.response(200, schemas.JobPage)
def list_all(query: dict[str, Any]) -> Answer:
    """Jobs, newest first; your own unless you hold ops:read and say `principal`."""
    return page(query)


@blueprint.route("/jobs/<uuid:job_id>/cancel", methods=["POST"])
@require("jobs:cancel")
@blueprint.response(202, schemas.JobSchema)
def cancel(job_id: UUID) -> Answer:
    """Cancel: a queued job ends at once, a running one at its next step or heartbeat."""
    job = reading.cancel_job(current_session(), job_id, principal=whose("ops:write"))
    return show(job), 202, {"Location": f"/v1/jobs/{job.id}"}


@blueprint.route("/jobs/<uuid:job_id>/retry", methods=["POST"])
@require("jobs:write")
@blueprint.response(202, schemas.JobSchema)
def retry(job_id: UUID) -> Answer:
    """Run an ended job again, as a new job."""
    key = idempotency_key()

    def act() -> dict[str, Any]:
        session = current_session()
        old = reading.get_job(session, job_id, principal=whose("ops:write"))
        allow(edge().menu.kinds.get(old.kind))
        new_id = reading.retry_job(session, job_id, edge().menu, principal=None, request_id=g.request_id)
        return show(reading.get_job(session, new_id, principal=None))

    answer, replayed = at_most_once(key, f"POST /v1/jobs/{job_id}/retry", act)
    return accepted(answer, replayed)


@blueprint.route("/jobs/<uuid:job_id>/resolve", methods=["POST"])
@require("ops:write")
@blueprint.arguments(schemas.ResolveSchema)
@blueprint.response(200, schemas.JobSchema)
def resolve(body: dict[str, Any], job_id: UUID) -> Answer:
    """Say what became of a job in doubt: succeeded, failed, or to be done again."""
    job = reading.resolve_job(current_session(), job_id, Status(body["status"]))
    after_commit(edge().waker.wake)
    return show(job), 200, {}


@blueprint.route("/job-kinds", methods=["GET"])
@require("jobs:read")
@blueprint.response(200, schemas.JobKindsSchema)
def kinds() -> Answer:
    """The menu: every kind with the JSON Schema of its parameters."""
    return {"data": [show_kind(kind) for _, kind in sorted(edge().menu.kinds.items())]}, 200, {}
