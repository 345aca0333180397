"""The load generator counts whole answers, whatever pieces they come in."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from bench.load import BadAnswer, Connection, drive, receive
from bench.queue_submit import request

REQUEST = request("/v1/jobs", {"kind": "jobs.probe"}, "token")


class Answering:
    """A server that answers every request with the same pieces, then hangs up after `limit` of them."""

    def __init__(self, pieces: tuple[bytes, ...], limit: int):
        self.pieces, self.limit, self.answered = pieces, limit, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with client:
            while self.answered < self.limit:
                try:
                    if client.recv(65_536) != REQUEST:
                        return
                    for piece in self.pieces:
                        client.sendall(piece)
                except OSError:
                    return
                self.answered += 1


@pytest.fixture
def serve() -> Iterator[object]:
    """Starts servers, and closes their ports."""
    servers: list[Answering] = []

    def start(*pieces: bytes, limit: int = 10**9) -> Answering:
        servers.append(Answering(pieces, limit))
        return servers[-1]

    yield start
    for server in servers:
        server.listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        server.listener.close()


def test_an_answer_is_complete_with_its_last_piece() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        client = Connection(ours)
        for piece in (b"HTTP/1.1 202 Accep", b"ted\r\nContent-Length: 6\r\n\r\nab", b"cd"):
            theirs.sendall(piece)
            assert not receive(client)
        theirs.sendall(b"ef")
        assert receive(client)
        assert client.status == b"202"


def test_every_answer_counts_once(serve: object) -> None:
    server = serve(b"HTTP/1.1 202 Accep", b"ted\r\nContent-Length: 6\r\n\r\nab", b"cd", b"ef")  # type: ignore[operator]
    tally = drive(server.port, REQUEST, connections=3, warm_up=0.0, seconds=0.2, status=b"202")
    assert tally.refused == 0
    assert 3 <= len(tally.milliseconds) <= server.answered
    assert server.answered <= len(tally.milliseconds) + 3  # one under way on each connection
    assert tally.seconds >= 0.2


def test_another_status_is_a_refusal(serve: object) -> None:
    server = serve(b"HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n\r\n")  # type: ignore[operator]
    tally = drive(server.port, REQUEST, connections=1, warm_up=0.0, seconds=0.05, status=b"202")
    assert tally.refused == len(tally.milliseconds) > 0


def test_a_server_that_hangs_up_is_not_fast(serve: object) -> None:
    server = serve(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n", limit=5)  # type: ignore[operator]
    with pytest.raises(BadAnswer):
        drive(server.port, REQUEST, connections=1, warm_up=0.0, seconds=30.0, status=b"202")


def test_nor_is_one_that_resets_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def reset() -> None:
            client, _ = listener.accept()
            client.recv(65_536)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()

        threading.Thread(target=reset, daemon=True).start()
        with pytest.raises(BadAnswer):
            drive(listener.getsockname()[1], REQUEST, connections=1, warm_up=0.0, seconds=30.0, status=b"202")
