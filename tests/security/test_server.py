"""The real server, as production starts it, and what no WSGI client can send: raw bytes on a socket.

Whatever comes, the answer is a refusal or a closed connection, and the same processes go on serving.
"""

from __future__ import annotations

import gzip
import os
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import psutil
import pytest

from app.ops.adapters.process import ServerProcess, free_port
from app.ops.adapters.run_folder import RunFolder
from app.ops.services.roles import application_roles
from tests.conftest import ROOT
from tests.security.world import PLENTY, World

GIVE_UP_SECONDS = 60.0
MAX_BODY = 256 * 1024
HEAD = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n"
CLOSE = b"Connection: close\r\n\r\n"


class Server:
    """The API's own command line on the world's database."""

    def __init__(self, world: World, folder: RunFolder) -> None:
        self.port = free_port()
        http = world.settings.http.model_copy(update={"port": self.port, "workers": 1, "threads": 8})
        settings = world.settings.model_copy(update={"http": http})
        (role,) = (role for role in application_roles(settings, folder, broker_url="") if role.name == "api")
        environment = os.environ | {
            "ENV_FILE": "",
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "CACHE_URL": settings.cache_url.get_secret_value(),
            "BROKER_URL": settings.broker_url.get_secret_value(),
            "HTTP__IP_LIMIT": PLENTY,
        }
        self.process = ServerProcess("api", role.command, folder.path / "api.log")
        self.process.start(environment=environment, cwd=ROOT)

    def send(self, *pieces: bytes) -> int | None:
        """The status of the answer to these bytes; None when the connection was closed without one."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=GIVE_UP_SECONDS) as connection:
            try:
                for piece in pieces:
                    connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it answered before it had read everything
            return status_of(connection)

    def pids(self) -> set[int]:
        assert self.process.pid is not None
        return {child.pid for child in psutil.Process(self.process.pid).children(recursive=True)}


def status_of(connection: socket.socket) -> int | None:
    data = b""
    try:
        while b"\r\n" not in data and (piece := connection.recv(65536)):
            data += piece
    except ConnectionResetError:
        pass
    return int(data.split(b" ", 2)[1]) if data.startswith(b"HTTP/1.") else None


@pytest.fixture(scope="module")
def server(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(world, RunFolder(tmp_path_factory.mktemp("server")))
    deadline = time.monotonic() + GIVE_UP_SECONDS
    while True:
        try:
            if started.send(GET + CLOSE) == 200:
                break
        except OSError:
            assert time.monotonic() < deadline, started.process.last_words(20)
            time.sleep(0.1)
    yield started
    started.process.stop()


@pytest.fixture(autouse=True)
def unharmed(server: Server) -> Iterator[None]:
    """After each test the same processes answer."""
    before = server.pids()
    yield
    assert server.send(GET + CLOSE) == 200
    assert server.pids() == before


REFUSED = {400, 401, 404, 405, 408, 411, 413, 414, 415, 421, 422, 431, 501, 505, None}
ODD = {
    "many headers": GET + b"".join(b"X-%d: y\r\n" % number for number in range(5_000)) + CLOSE,
    "a huge header": GET + b"X-Big: " + b"y" * 2_000_000 + b"\r\n" + CLOSE,
    "a huge header name": GET + b"x" * 2_000_000 + b": y\r\n" + CLOSE,
    "a huge path": b"GET /" + b"a" * 2_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n" + CLOSE,
    "a huge query": b"GET /v1/jobs?x=" + b"a" * 2_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n" + CLOSE,
    "a long path": b"GET /" + b"a/" * 15_000 + b" HTTP/1.1\r\nHost: localhost\r\n" + CLOSE,
    "no host": b"GET /health/live HTTP/1.1\r\n" + CLOSE,
    "two hosts": GET + b"Host: evil.example\r\n" + CLOSE,
    "another host": b"GET /health/live HTTP/1.1\r\nHost: evil.example\r\n" + CLOSE,
    "another host in the target": b"GET http://evil.example/health/live HTTP/1.1\r\nHost: evil.example\r\n" + CLOSE,
    "a host with a path": b"GET /health/live HTTP/1.1\r\nHost: localhost/evil.example\r\n" + CLOSE,
    "a host with somebody before": b"GET /health/live HTTP/1.1\r\nHost: localhost@evil.example\r\n" + CLOSE,
    "a method of its own": b"BREW /health/live HTTP/1.1\r\nHost: localhost\r\n" + CLOSE,
    "a traced request": b"TRACE /health/live HTTP/1.1\r\nHost: localhost\r\n" + CLOSE,
    "a proxied request": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n" + CLOSE,
    "an unknown version": b"GET /health/live HTTP/7.7\r\nHost: localhost\r\n" + CLOSE,
    "NUL in a header": GET + b"X-Request-ID: a\x00b\r\n" + CLOSE,
    "a bare CR in a header": GET + b"X-Request-ID: a\rb\r\n" + CLOSE,
    "a space before the colon": GET + b"X-Request-ID : abcdefgh\r\n" + CLOSE,
    "a control character in the path": b"GET /v1/\x01jobs HTTP/1.1\r\nHost: localhost\r\n" + CLOSE,
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n" + CLOSE + b"{} ",
    "a negative length": HEAD + b"Content-Length: -1\r\n" + CLOSE + b"{}",
    "a length beyond all numbers": HEAD + b"Content-Length: 99999999999999999999999\r\n" + CLOSE + b"{}",
    "a length and chunks": HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n" + CLOSE + b"0\r\n\r\n",
    "a chunk of a bad size": HEAD + b"Transfer-Encoding: chunked\r\n" + CLOSE + b"zz\r\n{}\r\n0\r\n\r\n",
    "another transfer encoding": HEAD + b"Transfer-Encoding: gzip, identity\r\n" + CLOSE + b"{}",
    "TLS": bytes.fromhex("16030100fd010000f90303") + bytes(250) + b"\r\n\r\n",
    "noise": bytes(range(256)) + b"\r\n\r\n",
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_request_of_ours(server: Server, name: str) -> None:
    assert server.send(ODD[name]) in REFUSED


@pytest.mark.parametrize("text", [b"\xff\xfe", b"%ff%fe", b"%00", b"%0d%0aX-Forged:%20yes"])
def test_bytes_that_are_no_text(server: Server, text: bytes) -> None:
    assert server.send(b"GET /v1/schedules/" + text + b" HTTP/1.1\r\nHost: localhost\r\n" + CLOSE) in REFUSED
    assert server.send(GET + b"X-Request-ID: " + text + b"\r\n" + CLOSE) in {200, 400}


def authorised(world: World) -> bytes:
    return HEAD + b"X-API-Key: " + world.root.key.secret.encode() + b"\r\n"


def test_a_body_that_says_it_is_too_large_is_refused_unread(world: World, server: Server) -> None:
    """The answer comes although not one byte of the body was sent."""
    head = authorised(world) + b"Content-Length: %d\r\n" % (MAX_BODY + 1)
    assert server.send(head + CLOSE) == 413


def test_a_body_in_chunks_without_end(world: World, server: Server) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert server.send(authorised(world) + b"Transfer-Encoding: chunked\r\n" + CLOSE, *[chunk] * 400) == 413


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (b"Content-Encoding: gzip\r\n", gzip.compress(b" " * 10_000_000), 400),
        (b"", "{}".encode("utf-16"), 400),
        (b"", b'{"kind": "\xff"}', 400),
        (b"", b"[" * 100_000, 400),
        (b"", b'{"kind": "a", "kind": "b"}', 400),
        (b"", b'{"kind": "jobs.probe", "params": ' + b'{"a":' * 65 + b"1" + b"}" * 66, 400),
    ],
    ids=["packed", "another encoding", "no text", "deep", "a name twice", "objects too deep"],
)
def test_a_body_that_is_not_our_json(world: World, server: Server, headers: bytes, body: bytes, status: int) -> None:
    assert server.send(authorised(world) + headers + b"Content-Length: %d\r\n" % len(body) + CLOSE + body) == status


def test_heads_that_never_end_do_not_keep_others_out(server: Server) -> None:
    """Several times as many of them as there are threads."""
    with ExitStack() as stack:
        for _ in range(40):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))
            connection.sendall(HEAD + b"X-Half")
        assert server.send(GET + CLOSE) == 200
