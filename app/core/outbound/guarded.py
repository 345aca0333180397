"""POST to a URL that a client gave, and never to a place that only we can reach (server-side request forgery).

The name is resolved once; every address it has must be public; the connection goes to the very address that was
checked, with the name in Host, in SNI and in the certificate check. So a name that resolves to something else a moment
later (DNS rebinding) changes nothing. Redirects are not followed, no proxy is asked, and one deadline bounds it all.
"""

from __future__ import annotations

import http.client
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

import certifi

from app.core.errors import AddressRefused, OutboundFailed
from app.core.outbound.addresses import PORTS, is_inside, is_public
from app.core.outbound.reply import Reply

MAX_ANSWER_BYTES = 64 * 1024
DEFAULT_PORTS = {"http": 80, "https": 443}
_PLAIN = re.compile(r"[\x21-\x7e]{1,2000}\Z")
# A name or an address in its plain form: neither percent signs, nor backslashes, nor an interface after an address.
_PLACE = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]*)?\Z", re.I)


@dataclass(frozen=True)
class Target:
    """A URL, taken apart."""

    scheme: str
    host: str
    port: int
    path: str


def guarded_post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allow_private: bool = False,
    timeout_seconds: float = 10.0,
    tls: ssl.SSLContext | None = None,
) -> Reply:
    """POST `body` and read the answer.

    Raises AddressRefused (trying again will not help) for a URL we do not call, OutboundFailed when there is no whole
    answer in time. `allow_private` is for development; `tls` replaces the public certificate authorities.
    """
    ends = time.monotonic() + timeout_seconds
    target = parse_target(url, allow_private=allow_private)
    address = _checked_address(target, allow_private=allow_private, ends=ends)
    context = (tls or _public_authorities()) if target.scheme == "https" else None
    connection = _PinnedConnection(target, address, context, ends)
    watchdog = threading.Timer(max(0.0, ends - time.monotonic()), connection.expire)
    watchdog.daemon = True
    watchdog.start()
    try:
        return _exchange(connection, target, body, headers)
    except (OSError, http.client.HTTPException) as error:
        late = connection.expired or isinstance(error, TimeoutError)
        reason = "it took too long" if late else type(error).__name__
        # `from None`: the library's messages quote what the other side said, and a log is read by more than its owner.
        raise OutboundFailed(f"{target.host} did not answer: {reason}.") from None
    finally:
        watchdog.cancel()
        connection.close()


def parse_target(url: str, *, allow_private: bool) -> Target:
    """The URL's parts; raises AddressRefused for what is not plain http or https to a usual port of a public host.

    Nothing is resolved: which addresses a name has is asked at the call.
    """
    if not _PLAIN.match(url):
        raise AddressRefused("A URL is visible ASCII, at most 2,000 characters.")
    try:
        parts = urlsplit(url)
        port = DEFAULT_PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    except ValueError as error:
        raise AddressRefused("That is no URL.") from error
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise AddressRefused("Only http:// and https:// URLs with a host are called.")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("A URL with a user name or password in it is not called.")
    if not _PLACE.match(parts.netloc):
        raise AddressRefused("That is no host name.")
    if not allow_private and port not in PORTS:
        raise AddressRefused(f"Only the ports {', '.join(map(str, sorted(PORTS)))} are called.")
    if not allow_private and is_inside(parts.hostname):
        raise AddressRefused()
    return Target(parts.scheme, parts.hostname, port, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def _checked_address(target: Target, *, allow_private: bool, ends: float) -> str:
    addresses = _resolve(target, ends)
    if not allow_private and not all(is_public(address) for address in addresses):
        raise AddressRefused()
    return addresses[0]


def _resolve(target: Target, ends: float) -> list[str]:
    """All addresses of the host. The system's resolver knows no deadline, so it is asked in a thread left behind."""
    answers: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
            answers.put([str(entry[4][0]) for entry in found])
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=ask, daemon=True, name="resolve").start()
    try:
        answer = answers.get(timeout=max(0.0, ends - time.monotonic()))
    except queue.Empty as error:
        raise OutboundFailed(f"The name {target.host} was not resolved in time.") from error
    if isinstance(answer, UnicodeError):
        raise AddressRefused("That is no host name.") from answer
    if isinstance(answer, OSError):
        raise OutboundFailed(f"The name {target.host} cannot be resolved.") from answer
    return answer


def _exchange(connection: _PinnedConnection, target: Target, body: bytes, headers: Mapping[str, str]) -> Reply:
    connection.request("POST", target.path, body=body, headers=dict(headers))
    with connection.getresponse() as response:
        answer = response.read(MAX_ANSWER_BYTES + 1)
        if len(answer) > MAX_ANSWER_BYTES:
            raise OutboundFailed(f"{target.host} answered with more than {MAX_ANSWER_BYTES} bytes.")
        if connection.expired:  # cut by the watchdog, an answer without a length looks like a whole one
            raise TimeoutError
        if response.length:
            raise http.client.IncompleteRead(answer, response.length)
        return Reply(response.status, dict(response.getheaders()), answer)


class _PinnedConnection(http.client.HTTPConnection):
    """A connection to one checked address that speaks to the named host, and that a watchdog may cut."""

    def __init__(self, target: Target, address: str, context: ssl.SSLContext | None, ends: float) -> None:
        self.default_port = DEFAULT_PORTS[target.scheme]
        super().__init__(target.host, target.port)
        self.expired = False
        self._address = address
        self._context = context
        self._ends = ends
        self._cut: socket.socket | None = None  # http.client forgets its own once it knows that no request will follow

    def connect(self) -> None:
        """Connect to the checked address; the socket is in place before TLS begins, so that it can be cut meanwhile."""
        left = max(0.001, self._ends - time.monotonic())
        bare = socket.create_connection((self._address, self.port), timeout=left)
        self._hold(bare)
        if self._context is not None:
            encrypted = self._context.wrap_socket(bare, server_hostname=self.host, do_handshake_on_connect=False)
            self._hold(encrypted)
            encrypted.do_handshake()

    def _hold(self, held: socket.socket) -> None:
        self.sock = self._cut = held
        if self.expired:  # a moment ago, when there was nothing to cut
            raise TimeoutError

    def expire(self) -> None:
        """Cut the connection: whatever waits on it returns at once."""
        self.expired = True
        if self._cut is not None:
            try:
                self._cut.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # it was closed in the meantime


@cache
def _public_authorities() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certifi.where())
