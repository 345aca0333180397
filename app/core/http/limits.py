"""Rate limits: by address before authentication, by principal after it, and tighter ones a route spends by name.

Counted in the cache Redis, by a sliding window; while that is down each process counts in its own memory. flask-limiter
writes no headers itself: it would put `Retry-After` on successful answers and change the one a 202 carries.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response, current_app, g, request
from flask_limiter import ApplicationLimit, Limiter
from limits import RateLimitItem, parse
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.core.errors import RateLimited
from app.core.http.address import client_network
from app.core.http.shedding import UNCOUNTED
from app.core.logging import get_logger

CACHE_TIMEOUT_SECONDS = 0.1
ADDRESS = "address"

log = get_logger(__name__)


@dataclass(frozen=True)
class Spent:
    """The limit that this request met last: what its headers tell."""

    name: str
    rate: RateLimitItem
    identifiers: tuple[str, ...]
    breached: bool


class Limits:
    """The limits of one app: every request counts against `address`, the others are spent by name and key."""

    def __init__(self, app: Flask, cache_url: str, address: str, named: Mapping[str, str]) -> None:
        self._limiter = Limiter(
            key_func=client_network,
            application_limits=[ApplicationLimit(address, scope=ADDRESS)],
            strategy="sliding-window-counter",
            storage_uri=cache_url,
            storage_options=_fail_fast(),
            in_memory_fallback_enabled=True,
            # Of several threads that meet a dead cache at once, all but the first would otherwise answer 500.
            swallow_errors=True,
            headers_enabled=False,
            # Without an identity a request that matches no route would not be counted.
            request_identifier=lambda: request.endpoint or "unmatched",
        )
        self._limiter.request_filter(lambda: request.path in UNCOUNTED)
        self._limiter.init_app(app)
        self._named = {name: parse(rate) for name, rate in named.items()}

    def spend(self, name: str, key: str) -> None:
        """Count one against the limit `name` for `key`; raises RateLimited when none is left."""
        rate, identifiers = self._named[name], (key, name)
        try:
            allowed = self._limiter.limiter.hit(rate, *identifiers)
        except RedisError:
            log.warning("limits.cache_unavailable", limit=name)
            return  # the next request's count by address moves every limit to memory
        g.limit = Spent(name, rate, identifiers, breached=not allowed)
        if not allowed:
            raise RateLimited()

    def set_headers(self, response: Response) -> Response:
        """`X-RateLimit-*` and the RateLimit fields (draft 11) of the limit met last; `Retry-After` only on a 429."""
        spent = self._spent()
        if spent is None:
            return response
        try:
            window = self._limiter.limiter.get_window_stats(spent.rate, *spent.identifiers)
        except RedisError:
            return response  # no cache, no figures
        reset = max(1, math.ceil(window.reset_time - time.time()))
        response.headers.update(
            {
                "X-RateLimit-Limit": str(spent.rate.amount),
                "X-RateLimit-Remaining": str(window.remaining),
                "X-RateLimit-Reset": str(math.ceil(window.reset_time)),
                "RateLimit-Policy": f'"{spent.name}";q={spent.rate.amount};w={spent.rate.get_expiry()}',
                "RateLimit": f'"{spent.name}";r={window.remaining};t={reset}',
            }
        )
        if spent.breached:
            response.headers.setdefault("Retry-After", str(reset))
        return response

    def _spent(self) -> Spent | None:
        named: Spent | None = g.get("limit")
        counted = self._limiter.current_limit
        if named is not None or counted is None:
            return named
        return Spent(ADDRESS, counted.limit, tuple(counted.request_args), counted.breached)


def install_limits(app: Flask, *, cache_url: str, address: str, named: Mapping[str, str]) -> Limits:
    """Count every request by address from here on; `named` are the limits that `spend` knows, as `"10 per minute"`."""
    limits = Limits(app, cache_url, address, named)
    app.extensions["limits"] = limits
    app.after_request(limits.set_headers)
    return limits


def spend_limit(name: str, key: str | None = None) -> None:
    """For routes: count one against a named limit, by address unless a key is given; raises RateLimited."""
    limits: Limits = current_app.extensions["limits"]
    limits.spend(name, key or client_network())


def _fail_fast() -> dict[str, Any]:
    """A dead cache must cost milliseconds: redis-py would wait 5 s, several times over."""
    return {
        "socket_timeout": CACHE_TIMEOUT_SECONDS,
        "socket_connect_timeout": CACHE_TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
