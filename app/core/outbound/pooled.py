"""Pooled calls to services that an operator configured."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError

from app.core.errors import OutboundFailed
from app.core.outbound.reply import Reply

CHUNK_BYTES = 64 * 1024
MAX_BYTES = 32 * 1024 * 1024


class Outbound:
    """Calls over one pool of connections, which threads may share; a process makes its own after a fork.

    `read_seconds` bounds the silence between two pieces of an answer, `deadline_seconds` the whole of reading one.
    """

    def __init__(self, *, pool_size: int, connect_seconds: float, read_seconds: float, deadline_seconds: float) -> None:
        self._timeouts = (connect_seconds, read_seconds)
        self._deadline_seconds = deadline_seconds
        self._session = requests.Session()
        self._session.trust_env = False  # neither a proxy nor a .netrc of the machine has a say
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=pool_size, pool_block=True)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def call(self, method: str, url: str, *, max_bytes: int = MAX_BYTES, **options: Any) -> Reply:
        """One request; `options` are those of `requests` (`params`, `headers`, `json`, `data`).

        Raises OutboundFailed when there is no whole answer in time and size. Redirects are not followed.
        """
        ends = time.monotonic() + self._deadline_seconds
        try:
            with self._session.request(
                method, url, timeout=self._timeouts, allow_redirects=False, stream=True, **options
            ) as response:
                body = _read(response, max_bytes, ends)
                return Reply(response.status_code, dict(response.headers), body)
        except (requests.RequestException, HTTPError) as error:
            # Only the host is named: the error's own text, which a log would show as the cause, holds the URL, and
            # paths and queries carry keys.
            host = urlsplit(url).hostname or "The service"
            raise OutboundFailed(f"{host} did not answer: {type(error).__name__}.") from None

    def close(self) -> None:
        """Give the pool's connections back."""
        self._session.close()


def _read(response: requests.Response, max_bytes: int, ends: float) -> bytes:
    """The body, unpacked, piece by piece as it comes: waiting for full pieces would let a trickle last for hours."""
    body = bytearray()
    while piece := response.raw.read1(CHUNK_BYTES, decode_content=True):
        body += piece
        if len(body) > max_bytes:
            raise OutboundFailed(f"The answer is larger than {max_bytes} bytes.")
        if time.monotonic() > ends:
            raise OutboundFailed("The answer took too long.")
    return bytes(body)
