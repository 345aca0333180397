"""What a client submits, checked against the menu: one job, or a batch whose items stand each for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from app.core.errors import AddressRefused, AppError, Forbidden, InvalidInput
from app.core.http.principal import Principal
from app.jobs.errors import AlreadyLive, KeyRequired
from app.jobs.services.backlog import Backlogs
from app.jobs.services.callbacks import check_url
from app.jobs.services.enqueue import Refused, check_params, enqueue_rows, get_kind, pointed
from app.jobs.types import Menu, NewJob


@dataclass(frozen=True, slots=True)
class Submission:
    """What all items of a request share: who asks, with which key, under which rules."""

    menu: Menu
    principal: Principal
    request_id: str | None
    has_key: bool
    allow_private_callbacks: bool
    backlogs: Backlogs


def new_job(body: Mapping[str, Any], asked: Submission) -> NewJob:
    """A checked body as a job to be.

    Raises UnknownKind, Forbidden (the kind's scope), KeyRequired, InvalidParams, InvalidInput or AddressRefused, naming
    the field.
    """
    kind = get_kind(asked.menu, body["kind"])
    if kind.scope is None:
        raise Forbidden(f"Only Watchkeeper itself submits {kind.name}.")
    if not asked.principal.may(kind.scope):
        raise Forbidden(f"{kind.name} needs the scope {kind.scope}.", required_scope=kind.scope)
    if kind.needs_key and not asked.has_key:
        raise KeyRequired()
    run_at, expires_at = body["run_at"], body["expires_at"]
    if run_at and expires_at and expires_at <= run_at:
        raise InvalidInput(errors=[pointed("/expires_at", "Not after run_at.")])
    if body["callback_url"] is not None:
        _check_callback(body["callback_url"], asked)
    return NewJob(
        kind=kind,
        params=check_params(kind, body["params"]),
        principal=asked.principal.id,
        priority=body["priority"],
        run_at=run_at,
        expires_at=expires_at,
        max_attempts=body["max_attempts"],
        callback_url=body["callback_url"],
        request_id=asked.request_id,
    )


def _check_callback(url: str, asked: Submission) -> None:
    try:
        check_url(url, allow_private=asked.allow_private_callbacks)
    except AddressRefused as error:
        raise AddressRefused(error.detail, errors=[pointed("/callback_url", error.detail)]) from error


def submit_all(
    session: Session, items: Sequence[Mapping[str, Any] | AppError], asked: Submission
) -> list[Row[Any] | AppError]:
    """Enqueue a batch in one statement; each item's job, or the error that refused it. O(items)."""

    def checked(item: Mapping[str, Any] | AppError) -> NewJob | AppError:
        if isinstance(item, AppError):
            return item
        try:
            job = new_job(item, asked)
            asked.backlogs.check(lambda: session, job.kind.queue)
        except AppError as error:
            return error
        return job

    answers = [checked(item) for item in items]
    inserted = iter(enqueue_rows(session, [answer for answer in answers if isinstance(answer, NewJob)]))
    return [_settled(next(inserted)) if isinstance(answer, NewJob) else answer for answer in answers]


def _settled(answer: Row[Any] | Refused) -> Row[Any] | AppError:
    if isinstance(answer, Refused):
        return AlreadyLive(live_job_id=str(answer.live_job_id) if answer.live_job_id else None)
    return answer
