"""One GET to an exchange's public interface: pooled, bounded, every failure classified.

| answer | becomes |
|---|---|
| no whole answer in time, 408, 425, 5xx | SourceUnavailable, tried once more |
| 429, 418 (banned after a 429) | SourceUnavailable with `retry_after_seconds`; until then nothing is sent |
| 400, 404 | MarketUnknown: of what was asked for, something is not traded there |
| 401, 403, 451, any redirect, other 4xx | SourceRefused |
"""

from __future__ import annotations

import random
import time
from urllib.parse import urlsplit

from app.core.clock import utc_now
from app.core.errors import OutboundFailed
from app.core.outbound import Outbound, Reply
from app.oracle.adapters.hermes_http import retry_after_seconds
from app.oracle.errors import SourceRefused, SourceUnavailable

ATTEMPTS = 2
BACKOFF_SECONDS = 0.25
MAX_ANSWER_BYTES = 1 << 20
PASSING_STATUS = (408, 425)
LIMITED_STATUS = (418, 429)
UNKNOWN_STATUS = (400, 404)


class MarketUnknown(Exception):
    """The exchange does not know one of the markets asked for, and answers for none of them."""


class ExchangeHttp:
    """One exchange at `url`. What it asked us to wait is remembered, a process each."""

    def __init__(self, url: str, outbound: Outbound, *, backoff_seconds: float = BACKOFF_SECONDS) -> None:
        self.host = urlsplit(url).hostname or "The exchange"
        self._url = url.rstrip("/")
        self._outbound = outbound
        self._backoff_seconds = backoff_seconds
        self._blocked_until = 0.0

    def get(self, path: str, **query: str) -> bytes:
        """The body of a 200; raises SourceUnavailable, SourceRefused or MarketUnknown."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(path, query)
            except SourceUnavailable as error:
                if error.retry_after_seconds is not None or attempt == ATTEMPTS:
                    raise
                time.sleep(random.uniform(0.5, 1.0) * self._backoff_seconds)  # noqa: S311 - spreads retries
        raise AssertionError("the last attempt returns or raises")

    def limited(self, retry_after: str | None = None) -> SourceUnavailable:
        """The error of an exchange that limits us; nothing is sent until the time it asked for, 60 s without one."""
        wait = retry_after_seconds(retry_after, utc_now())
        self._blocked_until = time.monotonic() + wait
        return SourceUnavailable(f"{self.host} limits our requests.", retry_after_seconds=wait)

    def _once(self, path: str, query: dict[str, str]) -> bytes:
        if (left := self._blocked_until - time.monotonic()) > 0:
            raise SourceUnavailable(f"{self.host} limits our requests.", retry_after_seconds=left)
        try:
            reply = self._outbound.call("GET", self._url + path, params=query, max_bytes=MAX_ANSWER_BYTES)
        except OutboundFailed as error:
            raise SourceUnavailable(error.detail) from None
        return self._judge(reply)

    def _judge(self, reply: Reply) -> bytes:
        status = reply.status
        if status == 200:
            return reply.body
        if status in LIMITED_STATUS:
            raise self.limited({name.lower(): text for name, text in reply.headers.items()}.get("retry-after"))
        if status in UNKNOWN_STATUS:
            raise MarketUnknown
        if status >= 500 or status in PASSING_STATUS:
            raise SourceUnavailable(f"{self.host} answered {status}.")
        raise SourceRefused(f"{self.host} answered {status}.")
