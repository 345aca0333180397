"""What can go wrong with a job, for clients and workers alike."""

from __future__ import annotations

from app.core.errors import AppError, BadRequest, Conflict, InvalidInput, NotFound, Unavailable


class JobNotFound(NotFound):
    """There is no such job."""

    code = "jobs.job_not_found"


class UnknownKind(InvalidInput):
    """There is no such job kind."""

    code = "jobs.unknown_kind"


class InvalidParams(InvalidInput):
    """The job's parameters are not valid."""

    code = "jobs.invalid_params"


class AlreadyLive(Conflict):
    """A job that does this is queued or running already."""

    code = "jobs.already_live"


class QueueFull(Unavailable):
    """The queue holds as many jobs as it may; try again when some are done."""

    code = "jobs.queue_full"


class AlreadyEnded(Conflict):
    """The job has ended; nothing about it changes any more."""

    code = "jobs.already_ended"


class NotEnded(Conflict):
    """The job has not ended yet."""

    code = "jobs.not_ended"


class NotInDoubt(Conflict):
    """Only a job in doubt can be resolved."""

    code = "jobs.not_in_doubt"


class KeyRequired(BadRequest):
    """This kind moves money: send an Idempotency-Key header."""

    code = "jobs.idempotency_key_required"


class KeyReused(InvalidInput):
    """This Idempotency-Key was used with another request."""

    code = "jobs.idempotency_key_reused"


class ScheduleNotFound(NotFound):
    """There is no such schedule."""

    code = "jobs.schedule_not_found"


class LeaseLost(AppError):
    """The claim is no longer ours: another worker may have the job. Nothing was written."""

    code = "jobs.lease_lost"
    status = 409


class CancelRequested(AppError):
    """Somebody asked for the job to stop."""

    code = "jobs.cancel_requested"
    status = 409


class TimedOut(AppError):
    """The job ran longer than its kind allows."""

    code = "jobs.timed_out"
    status = 504
    retryable = True


class Poisoned(AppError):
    """The job's worker died again and again; it is not run any more."""

    code = "jobs.poisoned"


class EffectInDoubt(AppError):
    """An earlier attempt may have done this already; it is not repeated."""

    code = "jobs.effect_in_doubt"
    status = 409


class CallbackFailed(AppError):
    """The callback's receiver did not accept it."""

    code = "jobs.callback_failed"
    status = 502
    retryable = True
