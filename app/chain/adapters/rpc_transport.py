"""One HTTP connection pool to one node: a POST in, bytes out, bounded in time and size. Never shows its URL."""

from __future__ import annotations

import logging
import time
from base64 import b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import get_environ_proxies
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from app.chain import errors

CHUNK_BYTES = 1 << 18
CONNECT_SECONDS = 5.0
SECRET_MIN = 8  # shorter parts of a URL are words like "v2", not keys

# Its DEBUG lines hold the URL's path, where providers put the API key.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back: status, `Retry-After` where the server named seconds, and the whole body."""

    status: int
    retry_after_seconds: float | None
    body: bytes


class _CountingAdapter(HTTPAdapter):
    """requests' adapter, which counts the connections it opens; urllib3's own count misses those it opens again."""

    opened = 0

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> ConnectionPool:
        pool = super().get_connection_with_tls_context(*args, **kwargs)
        if isinstance(pool, HTTPConnectionPool) and not hasattr(pool.ConnectionCls, "counted_by"):
            pool.ConnectionCls = type("Connection", (_Counted, pool.ConnectionCls), {"counted_by": self})
        return pool


class _Counted:
    """A connection that counts itself each time it is opened; mixed into urllib3's class for the scheme."""

    counted_by: _CountingAdapter

    def connect(self) -> None:
        super().connect()  # type: ignore[misc]  # the class this is mixed into
        self.counted_by.opened += 1


class Transport:
    """A pooled session to `url`. `timeout_seconds` bounds a whole exchange, `max_bytes` an answer's size unpacked."""

    def __init__(self, url: str, *, timeout_seconds: float, max_bytes: int, pool_size: int = 4):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("a node's URL must begin with http:// or https:// and name a host")
        self.name = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        self.secrets = _secrets(parts)
        self._url = url
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes
        self._adapter = _CountingAdapter(pool_connections=1, pool_maxsize=pool_size, pool_block=True)
        self._session = requests.Session()
        self._session.mount(f"{parts.scheme}://", self._adapter)
        self._session.headers["Content-Type"] = "application/json"
        # Proxies are read once; .netrc (which could add a password to a request) never.
        self._session.proxies = get_environ_proxies(url)
        self._session.trust_env = False

    def __repr__(self) -> str:
        return f"Transport({self.name})"

    def connections(self) -> int:
        """How many connections were ever opened: when it grows, another machine may be at the other end."""
        return self._adapter.opened

    def post(self, body: bytes) -> HttpAnswer:
        """Send `body`; raises NodeTimeout, NodeUnreachable, AnswerTruncated or AnswerTooLarge."""
        deadline = time.monotonic() + self._timeout_seconds
        timeout = (min(CONNECT_SECONDS, self._timeout_seconds), self._timeout_seconds)
        try:
            with self._session.post(
                self._url, data=body, timeout=timeout, stream=True, allow_redirects=False
            ) as response:
                content = self._read(response, deadline)
                return HttpAnswer(response.status_code, _seconds(response.headers.get("Retry-After")), content)
        # `from None`: the library's messages quote the URL.
        except (requests.Timeout, ReadTimeoutError):
            raise errors.NodeTimeout(f"{self.name} did not answer in time.") from None
        except (requests.RequestException, HTTPError, OSError):
            raise errors.NodeUnreachable(f"{self.name} cannot be reached.") from None

    def _read(self, response: requests.Response, deadline: float) -> bytes:
        pieces: list[bytes] = []
        size = 0
        # read1 gives what one receive brought, so that a node that drips bytes cannot outlast the deadline.
        while piece := self._piece(response):
            pieces.append(piece)
            size += len(piece)
            if size > self._max_bytes:
                raise errors.AnswerTooLarge(f"{self.name} answered with more than {self._max_bytes} bytes.")
            if time.monotonic() > deadline:
                raise errors.NodeTimeout(f"{self.name} did not finish its answer in time.")
        return b"".join(pieces)

    def _piece(self, response: requests.Response) -> bytes:
        try:
            piece: bytes = response.raw.read1(CHUNK_BYTES, decode_content=True)
            return piece
        except ProtocolError:  # fewer bytes than the header promised, or an end in the middle of a chunk
            raise errors.AnswerTruncated(f"{self.name} ended its answer too early.") from None

    def close(self) -> None:
        """Close every pooled connection."""
        self._session.close()


def _secrets(parts: SplitResult) -> tuple[str, ...]:
    """What of a URL may be a key, as it is written, as it is meant, and as a header carries it; longest first."""
    pieces = [*parts.path.split("/"), *parts.query.replace("=", "&").split("&"), parts.username, parts.password]
    written = {form for piece in pieces if piece for form in (piece, unquote(piece))}
    if parts.username or parts.password:
        pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        written.add(b64encode(pair.encode()).decode())
    return tuple(sorted((form for form in written if len(form) >= SECRET_MIN), key=len, reverse=True))


def _seconds(header: str | None) -> float | None:
    return float(header) if header is not None and header.isdecimal() else None
