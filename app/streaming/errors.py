"""Why a stream is not opened, or ends: over HTTP a problem, over WebSocket the close code `close_code`."""

from __future__ import annotations

from typing import ClassVar

from app.core.errors import AppError, InvalidInput


class StreamError(AppError):
    """The stream ended by a failure of ours; come back with a new ticket."""

    code = "streaming.failed"
    retryable = True
    close_code: ClassVar[int] = 1011


class TicketRefused(StreamError):
    """There is no such ticket: it was used, it is over, or its credential has changed; get another one."""

    code = "streaming.ticket_refused"
    status = 401
    retryable = False
    close_code = 4401


class AccessEnded(StreamError):
    """The credential behind this stream has expired, changed or been revoked; get another ticket."""

    code = "streaming.access_ended"
    status = 401
    retryable = False
    close_code = 4401


class BadResume(StreamError):
    """The id to go on from is a whole number that an earlier stream gave."""

    code = "streaming.bad_resume"
    status = 422
    retryable = False
    close_code = 4422


class MessageRefused(StreamError):
    """Clients send nothing but `{"ping": ...}`, and that short."""

    code = "streaming.message_refused"
    status = 400
    retryable = False
    close_code = 4400


class TooSlow(StreamError):
    """This reader fell too far behind; come back with the last id."""

    code = "streaming.too_slow"
    status = 408
    close_code = 4408


class TooManyStreams(StreamError):
    """This principal has as many streams open as it may."""

    code = "streaming.too_many_streams"
    status = 429
    close_code = 4429


class StreamsFull(StreamError):
    """This process serves as many streams as it can; try again."""

    code = "streaming.full"
    status = 503
    close_code = 1013


class SourceGone(StreamError):
    """The source of the stream does not answer; try again."""

    code = "streaming.source_gone"
    status = 503
    close_code = 1013


class GoingAway(StreamError):
    """This process ends; come back with the last id."""

    code = "streaming.going_away"
    status = 503
    close_code = 1001


class TopicUnknown(InvalidInput):
    """There is no such topic."""

    code = "streaming.topic_unknown"


class PathUnknown(StreamError):
    """There is nothing here but /v1/stream, /health/live, /health/ready and /metrics."""

    code = "streaming.path_unknown"
    status = 404
    retryable = False
    close_code = 4404
