"""Putting work into the queue: one job, a batch, or with an Idempotency-Key. Everything is in the caller's
transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from marshmallow import ValidationError
from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core.clock import rfc3339
from app.core.db import new_id
from app.core.errors import FieldError
from app.core.http.field_errors import field_errors
from app.core.http.schema import shared
from app.jobs.errors import AlreadyLive, InvalidParams, KeyReused, UnknownKind
from app.jobs.queries import enqueue as queries
from app.jobs.types import JobKind, Menu, NewJob


@dataclass(frozen=True, slots=True)
class Refused:
    """A job that did not go in because a live one does the same."""

    overlap_key: str
    live_job_id: UUID | None


def get_kind(menu: Menu, name: str) -> JobKind:
    """The kind of that name; raises UnknownKind."""
    kind = menu.kinds.get(name)
    if kind is None:
        raise UnknownKind(f"There is no job kind '{name[:100]}'.", errors=[pointed("/kind", "Unknown.")])
    return kind


def pointed(pointer: str, detail: str) -> FieldError:
    """One bad field."""
    return {"pointer": pointer, "detail": detail}


def check_params(kind: JobKind, params: Any, *, prefix: str = "/params") -> dict[str, Any]:
    """The parameters as they will be stored; raises InvalidParams naming each bad field."""
    if not isinstance(params, dict):
        raise InvalidParams(errors=[pointed(prefix, "Not an object.")])
    try:
        shared(kind.params).load(params)
    except ValidationError as error:
        raise InvalidParams(errors=field_errors(error.messages, prefix)) from error
    return params


def enqueue(session: Session, job: NewJob) -> UUID:
    """Insert one job; raises AlreadyLive naming the live job when its overlap key is taken. O(log jobs)."""
    job_id: UUID = enqueue_row(session, job).id
    return job_id


def enqueue_row(session: Session, job: NewJob) -> Row[Any]:
    """The same, giving the job as a client sees it."""
    (answer,) = enqueue_rows(session, [job])
    if isinstance(answer, Refused):
        raise AlreadyLive(live_job_id=str(answer.live_job_id) if answer.live_job_id else None)
    return answer


def enqueue_all(session: Session, jobs: Sequence[NewJob]) -> list[UUID | Refused]:
    """Insert many in one statement; for each its id, or why it was refused. O(jobs · log live jobs)."""
    return [answer if isinstance(answer, Refused) else answer.id for answer in enqueue_rows(session, jobs)]


def enqueue_rows(session: Session, jobs: Sequence[NewJob]) -> list[Row[Any] | Refused]:
    """The same, giving the jobs as a client sees them."""
    rows = [row_of(job) for job in jobs]
    inserted = queries.insert_jobs(session, rows)
    return [inserted[row["id"]] if row["id"] in inserted else _refusal(session, row["overlap_key"]) for row in rows]


def _refusal(session: Session, overlap_key: str) -> Refused:
    return Refused(overlap_key, queries.find_live_by_overlap(session, overlap_key))


def row_of(job: NewJob) -> dict[str, Any]:
    """A job as the inserting statement takes it, with its new id."""
    kind = job.kind
    loaded = shared(kind.params).load(dict(job.params)) if kind.overlap_key or kind.serial_key else {}
    return {
        "id": new_id(),
        "kind": kind.name,
        "principal": job.principal,
        "queue": kind.queue,
        "priority": job.priority,
        "params": dict(job.params),
        "run_at": rfc3339(job.run_at) if job.run_at else None,
        "expires_at": rfc3339(job.expires_at) if job.expires_at else None,
        "expires_after": f"{kind.expires_after_seconds} seconds" if kind.expires_after_seconds else None,
        "max_attempts": job.max_attempts or kind.max_attempts,
        "overlap_key": kind.overlap_key(loaded) if kind.overlap_key else None,
        "serial_key": kind.serial_key(loaded) if kind.serial_key else None,
        "schedule": job.schedule,
        "slot_at": rfc3339(job.slot_at) if job.slot_at else None,
        "callback_url": job.callback_url,
        "retried_from": job.retried_from,
        "request_id": job.request_id,
    }


def request_hash(body: Any) -> bytes:
    """SHA-256 of a JSON body, whatever the order of its members."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).digest()


def once(
    session: Session,
    *,
    principal: str,
    route: str,
    key: str,
    body: Any,
    keep_hours: int,
    act: Callable[[], dict[str, Any]],
) -> tuple[dict[str, Any], bool]:
    """Do `act` for the first request with this key; later ones get its answer. Returns (answer, replayed).

    The key, the answer and whatever `act` inserts are one transaction: a crash leaves all or nothing, and a second
    request that comes meanwhile waits for the first. Raises KeyReused when the key came with another body.
    """
    names = {"principal": principal, "route": route, "key": key}
    asked = request_hash(body)
    if queries.take_key(session, names, asked, keep_hours):
        answer = act()
        queries.store_answer(session, names, answer)
        return answer, False
    first, stored = queries.read_key(session, names)
    if first != asked:
        raise KeyReused()
    return stored, True
