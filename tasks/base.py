"""The one task class: claim, run the feature's function, commit its writes and the outcome together.

No feature's task opens a transaction, catches broadly or times itself. A message is only a wake-up: when the claim
returns nothing (a duplicate, a cancelled job, another worker was first), there is nothing to do.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog
from billiard.exceptions import SoftTimeLimitExceeded
from celery import Task
from marshmallow import ValidationError
from sqlalchemy.orm import Session

from app.core.events import TOLD
from app.core.failpoints import failpoint
from app.core.http.schema import shared
from app.core.logging import get_logger
from app.jobs.errors import InvalidParams, LeaseLost, TimedOut
from app.jobs.services.claim import claim_jobs, claim_next, end_attempts, put_aside
from app.jobs.services.outcome import outcome_of_error
from app.jobs.services.run import JobRun
from app.jobs.types import Claim, JobKind, Outcome, Snoozed, Succeeded
from tasks.celery_app import celery_app
from tasks.runtime import Runtime, runtime

log = get_logger(__name__)
GO_ON_SECONDS = 0.25
Work = Callable[[JobRun], Mapping[str, Any] | Snoozed | None]
BulkWork = Callable[[Sequence[JobRun]], Sequence[Mapping[str, Any]]]


class JobTask(Task):
    """A job kind as a Celery task: `work` is the feature's function."""

    abstract = True
    kind: JobKind
    work: Callable[[Any], Any]

    def run(self, ids: list[str]) -> None:
        """One message: the jobs it names that can still be claimed."""
        process_message(runtime(), self.kind, self.work, [UUID(job_id) for job_id in ids])


def job_task(kind: JobKind) -> Callable[[Callable[[Any], Any]], JobTask]:
    """Register a feature's function as the task of `kind`: `(run) -> result`, or for a bulk kind `(runs) ->
    results`.
    """

    def register(work: Callable[[Any], Any]) -> JobTask:
        options = {"name": kind.name, "base": JobTask, "kind": kind, "work": staticmethod(work)}
        task: JobTask = celery_app.register_task(type(kind.name, (JobTask,), options)())
        return task

    return register


def process_message(context: Runtime, kind: JobKind, work: Callable[[Any], Any], ids: Sequence[UUID]) -> None:
    """Claim the named jobs and run those that were ours to run; then, for a moment, what else of the kind waits."""
    claims = claim_all(context, kind, ids)
    if not claims:
        log.debug("nothing_to_claim", kind=kind.name, job_ids=[str(job_id) for job_id in ids])
        return
    run_claims(context, kind, work, claims)
    if kind.serial_key:
        context.waker.wake()
    elif not kind.bulk:
        run_next(context, kind, work)


def run_next(context: Runtime, kind: JobKind, work: Work) -> None:
    """Go on with jobs that wait behind the window: under a backlog a message then serves many, and costs little.

    Only for a moment, so that the messages' own jobs, a stop of the worker and other kinds get their turn.
    """
    until = time.monotonic() + GO_ON_SECONDS
    while time.monotonic() < until:
        failpoint("worker.claim.before")
        with context.autocommit.connect() as connection:
            claim = claim_next(
                connection, kind, lease_seconds=context.settings.jobs.lease_seconds, worker=context.worker
            )
        failpoint("worker.claim.after")
        if claim is None:
            return
        run_claims(context, kind, work, [claim])


def run_claims(context: Runtime, kind: JobKind, work: Callable[[Any], Any], claims: Sequence[Claim]) -> None:
    """Run what was claimed together, with the heart beating."""
    with Session(context.engine) as session:
        runs = [JobRun(claim, claim.params, session, context.settings.jobs.lease_seconds) for claim in claims]
        with context.heartbeat.beating(runs):
            if kind.bulk:
                run_many(context, kind, work, runs)
            else:
                run_one(context, kind, work, runs[0])


def claim_all(context: Runtime, kind: JobKind, ids: Sequence[UUID]) -> list[Claim]:
    """Claim in one committed statement; a serial job that must wait is put aside until its turn."""
    lease, worker = context.settings.jobs.lease_seconds, context.worker
    failpoint("worker.claim.before")
    with context.autocommit.connect() as connection:
        claims = claim_jobs(connection, kind, ids, lease_seconds=lease, worker=worker)
    failpoint("worker.claim.after")
    if not claims and kind.serial_key:
        with context.engine.begin() as connection:
            put_aside(connection, ids[0])
    return claims


def run_one(context: Runtime, kind: JobKind, work: Work, run: JobRun) -> None:
    """Run a single job and commit its writes with its outcome."""
    claim = run.claim
    started = time.monotonic()
    with structlog.contextvars.bound_contextvars(
        job_id=str(claim.id), kind=claim.kind, request_id=claim.request_id, attempt=claim.attempt
    ):
        try:
            outcome = attempt(context, kind, work, run)
            log.info("job_ended", outcome=type(outcome).__name__, seconds=round(time.monotonic() - started, 4))
        except LeaseLost:
            run.session.rollback()
            log.warning("lease_lost")


def attempt(context: Runtime, kind: JobKind, work: Work, run: JobRun) -> Outcome:
    """Run the function and commit what came of it; raises LeaseLost when the claim was no longer ours.

    A commit whose answer was lost is tried again as a failure; had it gone through, that finds the job ended.
    """
    try:
        run.params = load_params(kind, run.claim)
        outcome = as_outcome(work(run))
        if isinstance(outcome, Succeeded):
            commit(context, run.session, [(run, outcome)])
            return outcome
    except LeaseLost:
        raise
    except Exception as error:
        outcome = classify(kind, run, error)
    run.session.rollback()
    commit(context, run.session, [(run, outcome)])
    return outcome


def run_many(context: Runtime, kind: JobKind, work: BulkWork, runs: Sequence[JobRun]) -> None:
    """Run a bulk message's jobs in one transaction; if that raises, each by itself, so that one bad job fails alone."""
    session = runs[0].session
    if len(runs) > 1:
        try:
            for run in runs:
                run.params = load_params(kind, run.claim)
            results = work(runs)
            commit(context, session, [(run, Succeeded(result)) for run, result in zip(runs, results, strict=True)])
            return
        except SoftTimeLimitExceeded:
            session.rollback()
            commit(context, session, [(run, classify(kind, run, TimedOut())) for run in runs])
            return
        except Exception:
            session.rollback()
            log.exception("bulk_fell_back", kind=kind.name, jobs=len(runs))
    for run in runs:
        run_one(context, kind, lambda one: work([one])[0], run)


def load_params(kind: JobKind, claim: Claim) -> Mapping[str, Any]:
    """The stored JSON as the kind's types; an older deployment may have stored what today's schema refuses."""
    try:
        loaded: Mapping[str, Any] = shared(kind.params).load(dict(claim.params))
    except ValidationError as error:
        raise InvalidParams(f"The stored parameters do not fit: {error.messages}") from error
    return loaded


def as_outcome(value: Mapping[str, Any] | Snoozed | None) -> Outcome:
    """What a function returned, as an outcome."""
    return value if isinstance(value, Snoozed) else Succeeded(value or {})


def classify(kind: JobKind, run: JobRun, error: Exception) -> Outcome:
    """What a function raised, as an outcome; the traceback goes to the log."""
    if isinstance(error, SoftTimeLimitExceeded):
        error = TimedOut()
    outcome = outcome_of_error(error, run.claim, kind, jitter=random.random())  # noqa: S311 - spreads retries
    log.warning("job_attempt_failed", outcome=type(outcome).__name__, exc_info=error)
    return outcome


def commit(context: Runtime, session: Session, ended: Sequence[tuple[JobRun, Outcome]]) -> None:
    """Write the outcomes in the session's transaction and commit; when a claim is lost, nothing of it is written.

    A single job that wrote nothing has no transaction to end: its outcome is one statement that commits by itself.
    """
    failpoint("worker.finish.before")
    outcomes = [(run.claim, outcome) for run, outcome in ended]
    if len(ended) == 1 and not session.in_transaction():
        with context.autocommit.connect() as connection:
            end_attempts(connection, outcomes)
        failpoint("worker.finish.after")
        return
    try:
        end_attempts(session, outcomes)
    except LeaseLost:
        session.rollback()
        raise
    failpoint("worker.finish.written")
    session.commit()
    failpoint("worker.finish.after")
    if session.info.pop(TOLD, False):
        context.waker.wake()
