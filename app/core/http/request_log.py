"""The frame of every request: its id, one access line, its metrics, the security headers.

A caller's `X-Request-ID` is taken when it is sane, made otherwise, and echoed; every log line of a request carries it.
"""

from __future__ import annotations

import re
import time

from flask import Flask, Response, g, request
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.core.db import new_id
from app.core.http.address import client_address
from app.core.logging import get_logger
from app.core.metrics import Metrics

_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{8,64}\Z")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

SECURITY_HEADERS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    ("Cache-Control", "no-store"),
)
PRODUCTION_HEADERS = (*SECURITY_HEADERS, ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"))

log = get_logger("watchkeeper.access")


def install_request_log(app: Flask, *, metrics: Metrics, production: bool) -> None:
    """Register first, so that its `after_request` runs last and sees the final answer."""

    def _frame(response: Response) -> Response:
        _set_headers(response, production)
        _account(response, metrics)
        return response

    app.before_request(_begin)
    app.after_request(_frame)
    app.teardown_request(_end)


def _begin() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _SANE_ID.match(given) else str(new_id())
    g.started = time.perf_counter()
    clear_contextvars()
    bind_contextvars(request_id=g.request_id)


def _end(_error: BaseException | None) -> None:
    clear_contextvars()


def _set_headers(response: Response, production: bool) -> None:
    headers = response.headers
    present = {name.lower() for name, _ in headers}
    # One pass over what is there: werkzeug's own `setdefault` makes one for each name.
    for name, value in PRODUCTION_HEADERS if production else SECURITY_HEADERS:
        if name.lower() not in present:
            headers.add(name, value)
    headers.add("X-Request-ID", g.request_id)
    if g.get("principal") is not None and "no-store" not in headers["Cache-Control"]:
        response.vary.update(("Authorization", "X-API-Key"))


def _account(response: Response, metrics: Metrics) -> None:
    seconds = time.perf_counter() - g.started
    route = request.url_rule.rule if request.url_rule else "unmatched"
    method = request.method if request.method in _METHODS else "other"
    metrics.requests.labels(method, route, str(response.status_code)).inc()
    metrics.request_seconds.labels(method, route).observe(seconds)
    principal = g.get("principal")
    log.info(
        "request",
        method=method,
        path=request.path,
        route=route,
        status=response.status_code,
        milliseconds=round(seconds * 1000, 1),
        ip=client_address(),
        principal=principal.id if principal else None,
    )
