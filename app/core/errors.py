"""The one error catalogue, shared by the API and the workers.

A feature subclasses `AppError` in its own `errors.py`; the class says its code, HTTP status and whether trying again
can help. This module imports nothing, so that pure code may raise these too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, TypedDict


class FieldError(TypedDict):
    """One bad field: where it is (JSON pointer, or `?name` for a query parameter) and what is wrong."""

    pointer: str
    detail: str


class AppError(Exception):
    """Something went wrong on our side."""

    code: ClassVar[str] = "core.internal"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        retry_after_seconds: float | None = None,
        **facts: Any,
    ) -> None:
        self.detail = detail or type(self).default_detail()
        self.errors = tuple(errors)
        self.retry_after_seconds = retry_after_seconds
        self.facts = facts
        super().__init__(self.detail)

    @classmethod
    def default_detail(cls) -> str:
        """The first line of the class's docstring."""
        return (cls.__doc__ or cls.__name__).strip().splitlines()[0]

    def as_dict(self) -> dict[str, Any]:
        """The error as a job's row stores it; the HTTP problem adds `type`, `title`, `status` and `request_id`."""
        body: dict[str, Any] = {"code": self.code, "detail": self.detail, "retryable": self.retryable}
        if self.errors:
            body["errors"] = list(self.errors)
        return body | self.facts


class BadRequest(AppError):
    """The request cannot be read."""

    code = "core.bad_request"
    status = 400


class UntrustedHost(BadRequest):
    """The Host header names a host this API does not serve."""

    code = "core.untrusted_host"


class InvalidInput(AppError):
    """One or more fields are not valid."""

    code = "core.invalid_input"
    status = 422


class Unauthenticated(AppError):
    """Sign in, or send an API key."""

    code = "core.unauthenticated"
    status = 401


class Forbidden(AppError):
    """The caller's scopes do not allow this."""

    code = "core.forbidden"
    status = 403


class NotFound(AppError):
    """There is no such thing."""

    code = "core.not_found"
    status = 404


class MethodNotAllowed(AppError):
    """This address does not answer that method."""

    code = "core.method_not_allowed"
    status = 405


class Conflict(AppError):
    """The present state does not allow this."""

    code = "core.conflict"
    status = 409


class BodyTooLarge(AppError):
    """The request body is too large."""

    code = "core.body_too_large"
    status = 413


class UnsupportedMediaType(AppError):
    """Send the body as application/json."""

    code = "core.unsupported_media_type"
    status = 415


class RateLimited(AppError):
    """Too many requests."""

    code = "core.rate_limited"
    status = 429
    retryable = True


class Unavailable(AppError):
    """A part this depends on does not answer; try again."""

    code = "core.unavailable"
    status = 503
    retryable = True


class Overloaded(Unavailable):
    """More requests are here than can be served; try again."""

    code = "core.overloaded"


class OutboundFailed(Unavailable):
    """An outside service failed or did not answer in time."""

    code = "core.outbound_failed"


class OutboundRefused(AppError):
    """An outside service refused the request; trying again will not help."""

    code = "core.outbound_refused"
    status = 502


class AddressRefused(AppError):
    """That URL points where Watchkeeper does not call."""

    code = "core.address_refused"
    status = 422


def catalogue() -> Iterator[type[AppError]]:
    """Every error class loaded, parents first: the documentation of codes is made from it."""

    def walk(cls: type[AppError]) -> Iterator[type[AppError]]:
        yield cls
        for child in sorted(cls.__subclasses__(), key=lambda c: c.code):
            yield from walk(child)

    yield from walk(AppError)
