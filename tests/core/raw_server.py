"""A server of raw bytes, one connection after another: what an outside service may do wrong, it can do."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any


class Server:
    """Accepts connections one after another; `answer(connection)` serves each. Remembers what was asked."""

    def __init__(self, answer: Callable[[Server, Any], None], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.stopped = threading.Event()
        self._answer = answer
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def read(self, connection: Any) -> bytes:
        """One request with its body; empty when the caller has gone."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return data

    def stop(self) -> None:
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                try:
                    with self._tls.wrap_socket(connection, server_side=True) if self._tls else connection as stream:
                        self._answer(self, stream)
                except OSError:
                    continue  # the caller hung up, which is what some tests want


def says(*pieces: bytes, gap_seconds: float = 0.0) -> Callable[[Server, Any], None]:
    """Answers each request with these pieces, then waits for the next on the same connection, or closes."""

    def answer(server: Server, connection: Any) -> None:
        while server.read(connection):
            for piece in pieces:
                connection.sendall(piece)
                if server.stopped.wait(gap_seconds):
                    return
            if b"Content-Length" not in pieces[0]:
                return

    return answer


def says_once(answer: bytes = b"") -> Callable[[Server, Any], None]:
    """Answers one request with these bytes and hangs up."""

    def serve(server: Server, connection: Any) -> None:
        if server.read(connection):
            connection.sendall(answer)

    return serve


def silent(server: Server, _connection: Any) -> None:
    server.stopped.wait(30)
