"""Every failure as RFC 9457 `application/problem+json`, from the one catalogue in `app.core.errors`.

The `type` is a stable URN made from the code. Details of unforeseen errors go to the log, never to the caller.
"""

from __future__ import annotations

import math
from typing import Any

from flask import Flask, Response, g, json
from marshmallow import ValidationError
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from app.core import errors
from app.core.db import is_out_of_order, sqlstate
from app.core.errors import AppError, InvalidInput
from app.core.http.field_errors import field_errors
from app.core.logging import get_logger

MEDIA_TYPE = "application/problem+json"
DATABASE_GONE = "The database does not answer; try again."
DATABASE_RETRY_SECONDS = 2
INTERNAL = "XX"
"""Postgres's own failures: a file past its size limit, a damaged page. To the caller the same as a full disk."""

log = get_logger(__name__)

_BY_STATUS: dict[int, type[AppError]] = {
    kind.status: kind
    for kind in (
        errors.BadRequest,
        errors.Unauthenticated,
        errors.Forbidden,
        errors.NotFound,
        errors.MethodNotAllowed,
        errors.Conflict,
        errors.BodyTooLarge,
        errors.UnsupportedMediaType,
        errors.RateLimited,
        errors.Unavailable,
    )
}


def type_uri(code: str) -> str:
    """The problem's `type`: stable, and the same for every occurrence."""
    return f"urn:watchkeeper:problem:{code}"


def problem_response(error: AppError, *, status: int | None = None) -> Response:
    """The answer for `error`, with `Retry-After` in whole seconds, rounded up, where the error knows it."""
    body: dict[str, Any] = error.as_dict() | {
        "type": type_uri(error.code),
        "title": type(error).default_detail(),
        "status": status or error.status,
        "request_id": g.get("request_id"),
    }
    response = Response(json.dumps(body), status=body["status"], mimetype=MEDIA_TYPE)
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_seconds)))
    if body["status"] == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def database_problem(error: Exception) -> AppError | None:
    """503 for a database that is gone, busy, full, or out of connections; None for any other failure."""
    lost = isinstance(error, OperationalError | InterfaceError | PoolTimeout)
    if isinstance(error, DBAPIError):
        lost = lost or error.connection_invalidated or is_out_of_order(error) or sqlstate(error).startswith(INTERNAL)
    return errors.Unavailable(DATABASE_GONE, retry_after_seconds=DATABASE_RETRY_SECONDS) if lost else None


def install_problems(app: Flask) -> None:
    """Register the handlers; nothing leaves the API as HTML or with another shape of error."""
    app.register_error_handler(AppError, _on_app_error)
    app.register_error_handler(ValidationError, _on_validation_error)
    app.register_error_handler(HTTPException, _on_http_exception)
    app.register_error_handler(Exception, on_unforeseen)


def _on_app_error(error: AppError) -> Response:
    if error.status >= 500:
        log.warning("request.failed", code=error.code, detail=error.detail)
    return problem_response(error)


def _on_validation_error(error: ValidationError) -> Response:
    return problem_response(InvalidInput(errors=field_errors(error.messages)))


def _on_http_exception(error: HTTPException) -> Response | HTTPException:
    status = error.code or 500
    if error.response is not None or status < 400:
        return error  # a redirect, a 304, or an answer its raiser already made
    fallback = errors.BadRequest if status < 500 else AppError
    response = problem_response(_BY_STATUS.get(status, fallback)(), status=status)
    for name, value in error.get_headers():
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def on_unforeseen(error: Exception) -> Response:
    """Anything else: 503 when it is the database, else 500; the traceback is logged with the request id."""
    lost = database_problem(error)
    if lost is not None:
        log.warning("request.database_unavailable", error=type(error).__name__, sqlstate=sqlstate(error))
        return problem_response(lost)
    log.error("request.crashed", exc_info=error)
    return problem_response(AppError())
