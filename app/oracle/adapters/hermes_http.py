"""One GET to Hermes: pooled, bounded in time and size, every failure classified. `hermes` says what is asked.

| answer | becomes |
|---|---|
| no connection, time out, broken body, 408, 425, 5xx | SourceUnavailable, tried again here |
| 429 | SourceUnavailable with `retry_after_seconds`; until then nothing is sent |
| 404 naming feeds | FeedsNotFound |
| 404 otherwise ("Update data not found": its cache is not full yet) | SourceUnavailable, tried again here |
| 401, 403, any redirect, a bad certificate, other 4xx | SourceRefused, never tried again |
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import requests
from pydantic import SecretStr
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.exceptions import HTTPError

from app.core.clock import utc_now
from app.core.logging import get_logger
from app.oracle.errors import SourceAnswerInvalid, SourceRefused, SourceUnavailable

log = get_logger(__name__)

ATTEMPTS = 3
BACKOFF_SECONDS = 0.125  # doubled with each try, and cut by up to a half at random
CHUNK_BYTES = 1 << 16
MAX_ANSWER_BYTES = 4 << 20  # a hundred feeds answer with about 0.2 MB
# Hermes shuts a caller out for 60 s; nobody is believed who asks for more than this.
RATE_LIMIT_SECONDS = 60.0
MAX_RATE_LIMIT_SECONDS = 600.0
PASSING_STATUS = (408, 425)
_FEED_ID = re.compile(rb"\b(?:0x)?([0-9a-fA-F]{64})\b")


class FeedsNotFound(Exception):
    """Hermes does not have these feeds; the rest can be asked for without them."""

    def __init__(self, feeds: frozenset[bytes]) -> None:
        super().__init__(f"{len(feeds)} feeds are not known to Hermes")
        self.feeds = feeds


class HermesHttp:
    """A pooled session to one Hermes. Neither its key nor its answers appear in a message or a `repr`."""

    def __init__(
        self, url: str, api_key: SecretStr | None, *, timeout_seconds: float, backoff_seconds: float = BACKOFF_SECONDS
    ) -> None:
        self.host = urlsplit(url).netloc.rpartition("@")[2]
        self._url = url.rstrip("/")
        self._timeout_seconds = timeout_seconds
        self._backoff_seconds = backoff_seconds
        self._blocked_until = 0.0
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_connections=1, pool_maxsize=4))
        # Proxies are read once; .netrc, which would replace the bearer key, never.
        self._session.proxies = get_environ_proxies(url)
        self._session.trust_env = False
        if api_key is not None:
            self._session.headers["Authorization"] = f"Bearer {api_key.get_secret_value()}"

    def __repr__(self) -> str:
        return f"HermesHttp({self.host})"

    def get(self, path: str, query: Sequence[tuple[str, str]]) -> bytes:
        """The body of a 200. Tries a failure that can pass up to three times, within twice the time-out.

        Raises SourceUnavailable, SourceRefused, SourceAnswerInvalid (too large) or FeedsNotFound.
        """
        give_up_at = time.monotonic() + 2 * self._timeout_seconds
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._once(path, query)
            except SourceUnavailable as error:
                pause = random.uniform(0.5, 1.0) * self._backoff_seconds * 2**attempt  # noqa: S311 - spreads retries
                asked_to_wait = error.retry_after_seconds is not None
                if asked_to_wait or attempt == ATTEMPTS or time.monotonic() + pause > give_up_at:
                    raise
                log.info("hermes_retry", attempt=attempt, reason=error.detail)
                time.sleep(pause)
        raise AssertionError("the last attempt returns or raises")

    def stream(self, path: str, query: Sequence[tuple[str, str]], *, silence_seconds: float) -> Iterator[bytes]:
        """The pieces of an answer that goes on, as they come, until it ends; tried once.

        Raises what `get` raises, and SourceUnavailable when nothing at all comes for `silence_seconds`.
        """
        with self._opened(path, query, silence_seconds) as response:
            if response.status_code != 200:
                self._judge(response, self._read(response, time.monotonic() + self._timeout_seconds))
            while piece := response.raw.read1(CHUNK_BYTES, decode_content=True):
                yield piece

    def _once(self, path: str, query: Sequence[tuple[str, str]]) -> bytes:
        deadline = time.monotonic() + self._timeout_seconds
        with self._opened(path, query, self._timeout_seconds) as response:
            return self._judge(response, self._read(response, deadline))

    @contextmanager
    def _opened(
        self, path: str, query: Sequence[tuple[str, str]], silence_seconds: float
    ) -> Iterator[requests.Response]:
        if (left := self._blocked_until - time.monotonic()) > 0:
            raise SourceUnavailable(f"{self.host} limits our requests.", retry_after_seconds=left)
        try:
            with self._session.get(
                f"{self._url}{path}",
                params=list(query),
                timeout=(self._timeout_seconds, silence_seconds),
                stream=True,
                allow_redirects=False,
            ) as response:
                yield response
        # `from None`: the library's messages quote the URL, whose path may hold a key, and logs show causes.
        except requests.exceptions.SSLError:
            raise SourceRefused(f"The certificate of {self.host} was refused.") from None
        except (requests.RequestException, HTTPError, OSError) as error:
            raise SourceUnavailable(f"{self.host} did not answer: {type(error).__name__}.") from None

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        body = bytearray()
        # read1 gives what one receive brought: a server that drips bytes does not outlast the deadline.
        while piece := response.raw.read1(CHUNK_BYTES, decode_content=True):
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                raise SourceAnswerInvalid(f"{self.host} answered with more than {MAX_ANSWER_BYTES} bytes.")
            if time.monotonic() > deadline:
                raise SourceUnavailable(f"{self.host} did not finish its answer in time.")
        return bytes(body)

    def _judge(self, response: requests.Response, body: bytes) -> bytes:
        status = response.status_code
        if status == 200:
            return body
        if status == 429:
            wait = retry_after_seconds(response.headers.get("Retry-After"), utc_now())
            self._blocked_until = time.monotonic() + wait
            raise SourceUnavailable(f"{self.host} limits our requests.", retry_after_seconds=wait)
        if 300 <= status < 400:
            target = urlsplit(response.headers.get("Location", "")).hostname or "another address"
            raise SourceRefused(f"{self.host} redirects to {target}; set ORACLE__HERMES_URL to where it is now.")
        if status == 404 and (named := frozenset(bytes.fromhex(m.decode()) for m in _FEED_ID.findall(body))):
            raise FeedsNotFound(named)
        if status >= 500 or status == 404 or status in PASSING_STATUS:
            raise SourceUnavailable(f"{self.host} answered {status}.")
        if status in (401, 403):
            raise SourceRefused(f"{self.host} refused the API key ({status}).")
        raise SourceRefused(f"{self.host} answered {status}.")


def retry_after_seconds(header: str | None, now: datetime) -> float:
    """Seconds to wait from a `Retry-After` of either form, within [1, 600]; 60 when there is none to read."""
    wait = RATE_LIMIT_SECONDS
    if header is not None and re.fullmatch(r"[0-9]{1,9}", header.strip()):
        wait = float(header)
    elif header is not None:
        try:
            wait = (parsedate_to_datetime(header) - now).total_seconds()
        except (ValueError, TypeError):
            log.info("hermes_retry_after_unreadable")
    return min(max(wait, 1.0), MAX_RATE_LIMIT_SECONDS)
