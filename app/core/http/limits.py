"""Rate limits: by address before authentication, by principal after it, and tighter ones a route spends by name.

Counted in the cache Redis, by a sliding window; while that is down each process counts in its own memory. A caller who
comes often is counted in small prepaid portions, at most a hundredth of the limit each: one question to the cache then
serves many requests, and the limit stays what it is, less at most one portion a process that nobody used.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

from flask import Flask, Response, current_app, g, request
from limits import RateLimitItem, WindowStats, parse
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from app.core.errors import RateLimited
from app.core.http.address import client_network
from app.core.http.shedding import UNCOUNTED
from app.core.logging import get_logger

CACHE_TIMEOUT_SECONDS = 0.1
CACHE_PAUSE_SECONDS = 1.0
PORTION_SECONDS = 0.25
LARGEST_PORTION = 50
MAX_PURSES = 20_000
ADDRESS = "address"

log = get_logger(__name__)


@dataclass
class Purse:
    """What one caller has prepaid of one limit in this process, and where the window stood then."""

    left: int = 0
    lapses_at: float = 0.0
    portion: int = 1
    buying: bool = False
    window: WindowStats | None = None

    def take(self, now: float) -> bool:
        """Spend one that is prepaid; false when there is none."""
        if self.left == 0 or now >= self.lapses_at:
            return False
        self.left -= 1
        return True

    def next_portion(self, now: float, largest: int) -> int:
        """How many to buy: twice as many as last time by one who used those up before they lapsed, else one.

        One also for a second thread that comes while the first is still buying.
        """
        if self.buying:
            return 1
        self.portion = min(2 * self.portion, largest) if now < self.lapses_at else 1
        self.buying = self.portion > 1
        return self.portion

    def fill(self, portion: int, now: float) -> None:
        """A portion was bought, and one of it is spent at once."""
        self.left = portion - 1 if portion > 1 else self.left
        self.lapses_at = now + PORTION_SECONDS


@dataclass(frozen=True)
class Spent:
    """The limit that this request met last: what its headers tell."""

    name: str
    rate: RateLimitItem
    key: str
    purse: Purse
    breached: bool


class Limits:
    """The limits of one app: every request counts against `address`, the others are spent by name and key."""

    def __init__(self, cache_url: str, rates: Mapping[str, str]) -> None:
        self._shared = SlidingWindowCounterRateLimiter(RedisStorage(cache_url, **_fail_fast()))
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._own_until = 0.0
        self._rates = {name: parse(rate) for name, rate in rates.items()}
        self._purses: dict[tuple[str, str], Purse] = {}
        self._lock = Lock()

    def spend(self, name: str, key: str) -> None:
        """Count one against the limit `name` for `key`; raises RateLimited when none is left."""
        rate = self._rates[name]
        with self._lock:
            purse = self._purse(name, key)
            paid = purse.take(time.monotonic())
            portion = 0 if paid else purse.next_portion(time.monotonic(), _largest_portion(rate))
        breached = not paid and not self._buy(rate, name, key, purse, portion)
        g.limit = Spent(name, rate, key, purse, breached)
        if breached:
            raise RateLimited()

    def _purse(self, name: str, key: str) -> Purse:
        if len(self._purses) >= MAX_PURSES:
            self._purses.clear()
        return self._purses.setdefault((name, key), Purse())

    def _buy(self, rate: RateLimitItem, name: str, key: str, purse: Purse, portion: int) -> bool:
        """Count a portion, or where the limit has no room for it the one request; false when not even that."""
        bought = portion if portion > 1 and self._hit(rate, key, name, portion) else 1
        allowed = bought > 1 or self._hit(rate, key, name, 1)
        with self._lock:
            purse.window = None
            if portion > 1:
                purse.buying = False
            if allowed:
                purse.fill(bought, time.monotonic())
        return allowed

    def _hit(self, rate: RateLimitItem, key: str, name: str, cost: int) -> bool:
        if time.monotonic() >= self._own_until:
            try:
                return self._shared.hit(rate, key, name, cost=cost)
            except RedisError:
                self._pause()
        return self._own.hit(rate, key, name, cost=cost)

    def _window(self, spent: Spent) -> WindowStats:
        """Where the window stood when the last portion was bought."""
        if spent.purse.window is None:
            spent.purse.window = self._read_window(spent)
        return spent.purse.window

    def _read_window(self, spent: Spent) -> WindowStats:
        if time.monotonic() >= self._own_until:
            try:
                return self._shared.get_window_stats(spent.rate, spent.key, spent.name)
            except RedisError:
                self._pause()
        return self._own.get_window_stats(spent.rate, spent.key, spent.name)

    def _pause(self) -> None:
        """A cache that does not answer is left alone for a second; this process counts for itself meanwhile."""
        self._own_until = time.monotonic() + CACHE_PAUSE_SECONDS
        log.warning("limits.cache_unavailable")

    def set_headers(self, response: Response) -> Response:
        """`X-RateLimit-*` and the RateLimit fields (draft 11) of the limit met last; `Retry-After` only on a 429."""
        spent: Spent | None = g.get("limit")
        if spent is None:
            return response
        window = self._window(spent)
        left = window.remaining + spent.purse.left
        reset = max(1, math.ceil(window.reset_time - time.time()))
        response.headers.extend(
            [
                ("X-RateLimit-Limit", str(spent.rate.amount)),
                ("X-RateLimit-Remaining", str(left)),
                ("X-RateLimit-Reset", str(math.ceil(window.reset_time))),
                ("RateLimit-Policy", f'"{spent.name}";q={spent.rate.amount};w={spent.rate.get_expiry()}'),
                ("RateLimit", f'"{spent.name}";r={left};t={reset}'),
            ]
        )
        if spent.breached:
            response.headers.setdefault("Retry-After", str(reset))
        return response


def install_limits(app: Flask, *, cache_url: str, address: str, named: Mapping[str, str]) -> Limits:
    """Count every request by address from here on; `named` are the limits that `spend` knows, as `"10 per minute"`."""
    limits = Limits(cache_url, {ADDRESS: address, **named})
    app.extensions["limits"] = limits

    def count() -> None:
        if request.path not in UNCOUNTED:
            limits.spend(ADDRESS, client_network())

    app.before_request(count)
    app.after_request(limits.set_headers)
    return limits


def spend_limit(name: str, key: str | None = None) -> None:
    """For routes: count one against a named limit, by address unless a key is given; raises RateLimited."""
    limits: Limits = current_app.extensions["limits"]
    limits.spend(name, key or client_network())


def _largest_portion(rate: RateLimitItem) -> int:
    return max(1, min(rate.amount // 100, LARGEST_PORTION))


def _fail_fast() -> dict[str, Any]:
    """A dead cache must cost milliseconds: redis-py would wait 5 s, several times over."""
    return {
        "socket_timeout": CACHE_TIMEOUT_SECONDS,
        "socket_connect_timeout": CACHE_TIMEOUT_SECONDS,
        "retry": Retry(NoBackoff(), 0),
    }
