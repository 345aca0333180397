"""What the queue's routes share: the factory's injections, idempotency, waiting, and how a job is shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
from flask import Response, current_app, g, request
from marshmallow import ValidationError
from sqlalchemy import Row

from app.core.clock import utc_now
from app.core.errors import AppError, BadRequest, Forbidden, InvalidInput
from app.core.http.answer import Answer
from app.core.http.field_errors import field_errors
from app.core.http.guard import current_principal
from app.core.http.problems import type_uri
from app.core.http.schema import shared
from app.core.http.unit_of_work import after_commit, commit_request, current_session
from app.jobs.adapters.wake import Waker
from app.jobs.schemas import JobSchema, NewJobSchema
from app.jobs.services import reading
from app.jobs.services.backlog import Backlogs
from app.jobs.services.enqueue import once
from app.jobs.services.group_commit import GroupCommit
from app.jobs.services.kinds import params_schema
from app.jobs.services.submit import Submission
from app.jobs.types import TERMINAL, JobKind, Menu, Status

KEY = re.compile(r"[\x21-\x7e]{1,200}\Z")
WAIT = re.compile(r"wait=(\d{1,4})\Z")
POLL_AFTER_SECONDS = "1"
SHOWN = tuple(JobSchema().dump_fields)


@dataclass(frozen=True)
class JobsEdge:
    """What the factory hands these routes."""

    menu: Menu
    together: GroupCommit
    waker: Waker
    waiters: reading.Waiters
    key_keep_hours: int
    wait_max_seconds: int
    callback_secret: bytes = field(repr=False)
    backlogs: Backlogs
    allow_private_callbacks: bool = False


def edge() -> JobsEdge:
    """This app's jobs edge."""
    found: JobsEdge = current_app.extensions["jobs"]
    return found


def reply(body: dict[str, Any], status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON as it is: a replayed answer was made long ago, so no schema dumps it again."""
    return Answer(msgspec.json.encode(body), status, headers, content_type="application/json")


def show(job: Row[Any]) -> dict[str, Any]:
    """A job's row as JSON, in the shape of JobSchema."""
    row = job._asdict()
    shown = {name: row[name] for name in SHOWN if name in row} | {
        "status": view_status(job),
        "done": Status(job.status) in TERMINAL,
        "links": {"self": f"/v1/jobs/{job.id}"},
    }
    plain: dict[str, Any] = msgspec.to_builtins(shown)
    return plain


def view_status(job: Row[Any]) -> str:
    """The row's status, or the view of `queued` that says more: `scheduled` for later, `retrying` after a failure."""
    if job.status != Status.QUEUED:
        return str(job.status)
    if job.error is not None:
        return "retrying"
    return "scheduled" if job.run_at > utc_now() else "queued"


def whose(operator_scope: str) -> str | None:
    """Whose jobs the caller reaches: only their own, or (None) everybody's with the operators' scope."""
    principal = current_principal()
    return None if principal.may(operator_scope) else principal.id


def listed_principal(asked: str | None) -> str | None:
    """Whose jobs a list shows: the caller's own, or with ops:read those of the one asked for, `*` being everybody."""
    principal = current_principal()
    if asked is None or asked == principal.id:
        return principal.id
    if not principal.may("ops:read"):
        raise Forbidden("Other principals' jobs need the scope ops:read.", required_scope="ops:read")
    return None if asked == "*" else asked


def allow(kind: JobKind | None) -> None:
    """Refuse a caller without the kind's own scope; raises Forbidden."""
    if kind is not None and (kind.scope is None or not current_principal().may(kind.scope)):
        raise Forbidden(f"{kind.name} needs a scope of its own.", required_scope=kind.scope)


def idempotency_key() -> str | None:
    """The request's Idempotency-Key; raises BadRequest for one that is empty, too long or not plain ASCII."""
    key = request.headers.get("Idempotency-Key")
    if key is not None and not KEY.match(key):
        raise BadRequest("Idempotency-Key: 1 to 200 visible ASCII characters.")
    return key


def submission(key: str | None) -> Submission:
    """Who submits, with which key, under which rules."""
    return Submission(
        menu=edge().menu,
        principal=current_principal(),
        request_id=g.request_id,
        has_key=key is not None,
        allow_private_callbacks=edge().allow_private_callbacks,
        backlogs=edge().backlogs,
    )


def at_most_once(key: str | None, route: str, act: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bool]:
    """Do `act` in this request's transaction, or give the first answer of the same key; wakes the dispatcher after."""
    after_commit(edge().waker.wake)
    if key is None:
        return act(), False
    return once(
        current_session(),
        principal=current_principal().id,
        route=route,
        key=key,
        body=request.get_json(silent=True),
        keep_hours=edge().key_keep_hours,
        act=act,
    )


def accepted(job: dict[str, Any], replayed: bool) -> Response:
    """202 with the job's address; with `Prefer: wait` 200 when it ends in time, else 202 as it then is."""
    headers = {"Location": job["links"]["self"]} | replay_header(replayed)
    seconds = wished_wait_seconds()
    if seconds == 0:
        return reply(job, 202, headers | {"Retry-After": POLL_AFTER_SECONDS})
    commit_request()
    session = current_session()
    seen = edge().waiters.wait(session, lambda: reading.get_job(session, UUID(job["id"]), principal=None), seconds)
    if seen is None:  # every place to wait is taken
        return reply(job, 202, headers | {"Retry-After": POLL_AFTER_SECONDS})
    ended = Status(seen.status) in TERMINAL
    headers |= {"Preference-Applied": f"wait={seconds}"} | ({} if ended else {"Retry-After": POLL_AFTER_SECONDS})
    return reply(show(seen), 200 if ended else 202, headers)


def wished_wait_seconds() -> int:
    """The `wait` of the Prefer header, cut to what is allowed; a preference that cannot be read is ignored (RFC
    7240).
    """
    for part in request.headers.get("Prefer", "").split(","):
        found = WAIT.match(part.strip())
        if found:
            return min(int(found.group(1)), edge().wait_max_seconds)
    return 0


def replay_header(replayed: bool) -> dict[str, str]:
    """Says that an answer is a repeated one."""
    return {"Idempotency-Replayed": "true"} if replayed else {}


def batch_body(item: dict[str, Any]) -> dict[str, Any] | AppError:
    """One item of a batch, checked as a single submission would be; or what is wrong with it."""
    try:
        body: dict[str, Any] = shared(NewJobSchema).load(item)
    except ValidationError as error:
        return InvalidInput(errors=field_errors(error.messages))
    return body


def batch_item(answer: Row[Any] | AppError) -> dict[str, Any]:
    """One item of a batch's answer: the job, or the problem that refused it."""
    if isinstance(answer, AppError):
        problem = answer.as_dict() | {"type": type_uri(answer.code), "status": answer.status}
        return {"status": answer.status, "job": None, "problem": problem}
    return {"status": 202, "job": show(answer), "problem": None}


def show_kind(kind: JobKind) -> dict[str, Any]:
    """A kind with the JSON Schema of its parameters, inlined."""
    return {
        "name": kind.name,
        "summary": kind.summary,
        "queue": kind.queue,
        "scope": kind.scope,
        "timeout_seconds": kind.timeout_seconds,
        "max_attempts": kind.max_attempts,
        "bulk": kind.bulk,
        "idempotency_key_required": kind.needs_key,
        "params_schema": params_schema(kind),
    }
