"""What an attempt's end means: an exception or a value becomes an `Outcome`, and an outcome the row's next state."""

from __future__ import annotations

from typing import Any

from app.core.db import is_out_of_order, sqlstate
from app.core.errors import AppError
from app.jobs.errors import CancelRequested, EffectInDoubt
from app.jobs.maths import backoff_seconds
from app.jobs.types import (
    Cancelled,
    Claim,
    Failed,
    InDoubt,
    JobKind,
    Outcome,
    Retried,
    Snoozed,
    Status,
    Succeeded,
)

OUT_OF_ORDER_STAGE = 3
"""How far along its back-off a job waits for the database: that does not grow, for no attempt is counted."""


def outcome_of_error(error: BaseException, claim: Claim, kind: JobKind, *, jitter: float) -> Outcome:
    """Classify what an attempt raised.

    An error of the catalogue says itself whether trying again can help; anything else is a defect of ours or of a
    library, which may pass, so it is tried again within the attempts the job has. Its text stays in the log: it may
    hold what a client must not see. A database that could not work costs no attempt: an hour of a full disk must not
    end jobs.
    """
    if isinstance(error, CancelRequested):
        return Cancelled()
    if isinstance(error, EffectInDoubt):
        return InDoubt(error.as_dict())
    if is_out_of_order(error):
        pause = backoff_seconds(OUT_OF_ORDER_STAGE, kind.backoff_seconds, kind.backoff_cap_seconds, jitter)
        return Snoozed(pause, f"the database could not work ({sqlstate(error)})")
    known = error if isinstance(error, AppError) else AppError(f"Unexpected {type(error).__name__}; see the log.")
    retryable = known.retryable or not isinstance(error, AppError)
    body = {**known.as_dict(), "retryable": retryable}
    if not retryable or claim.attempt >= claim.max_attempts:
        return Failed(body)
    wait = known.retry_after_seconds
    if wait is None:
        wait = backoff_seconds(claim.attempt, kind.backoff_seconds, kind.backoff_cap_seconds, jitter)
    return Retried(body, wait)


def next_state(claim: Claim, outcome: Outcome) -> dict[str, Any]:
    """The item of the finishing statement that an outcome stands for."""
    item: dict[str, Any] = {"id": str(claim.id), "give_back": False}
    match outcome:
        case Succeeded(result):
            return item | {"status": Status.SUCCEEDED, "result": dict(result)}
        case Failed(error):
            return item | {"status": Status.FAILED, "error": dict(error)}
        case Retried(error, seconds):
            return item | {"status": Status.QUEUED, "error": dict(error), "again_seconds": seconds}
        case Snoozed(seconds, reason):
            waiting = {"stage": "waiting", "message": reason}
            return item | {
                "status": Status.QUEUED,
                "progress": waiting,
                "again_seconds": seconds,
                "give_back": True,
            }
        case Cancelled():
            return item | {"status": Status.CANCELLED}
        case InDoubt(error):
            return item | {"status": Status.IN_DOUBT, "error": dict(error)}
