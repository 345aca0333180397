"""A cheap load generator: so many keep-alive connections, each sending the same bytes again once it was answered.

It runs in a process of its own, one thread, no HTTP library: it shares the machine with what it measures.
`python -m bench.load PORT CONNECTIONS WARM_UP_SECONDS SECONDS STATUS < request` prints one JSON object.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field


@dataclass
class Connection:
    """One client: when it asked, and how much of the answer is still to come."""

    sock: socket.socket
    asked_at: float = 0.0
    head: bytes = b""
    missing: int | None = None
    status: bytes = b""


@dataclass
class Tally:
    """What came back in the measured time."""

    milliseconds: list[float] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0.0


class BadAnswer(Exception):
    """The server hung up, or spoke something else than HTTP with a length."""


def receive(connection: Connection) -> bool:
    """Take what has arrived; true when the answer is complete."""
    data = connection.sock.recv(262_144)
    if not data:
        raise BadAnswer("the server closed a connection")
    if connection.missing is None:
        head = connection.head = connection.head + data
        end = head.find(b"\r\n\r\n")
        if end < 0:
            return False
        start = head.lower().index(b"content-length:", 0, end) + 15
        length = int(head[start : head.index(b"\r", start)])
        connection.status = head[9:12]
        connection.missing = length - (len(head) - end - 4)
    else:
        connection.missing -= len(data)
    if connection.missing > 0:
        return False
    connection.missing, connection.head = None, b""
    return True


def drive(port: int, request: bytes, *, connections: int, warm_up: float, seconds: float, status: bytes) -> Tally:
    """Send for `warm_up + seconds`, on a slow machine for longer; what was answered after the warm-up counts."""
    with ExitStack() as open_sockets, selectors.DefaultSelector() as selector:
        for _ in range(connections):
            sock = open_sockets.enter_context(socket.create_connection(("127.0.0.1", port)))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(sock, selectors.EVENT_READ, Connection(sock))
        try:
            return ask(selector, request, begin=time.perf_counter() + warm_up, seconds=seconds, status=status)
        except ConnectionError as error:  # closed with something of ours unread: a reset, not an end
            raise BadAnswer("the server closed a connection") from error


def ask(selector: selectors.BaseSelector, request: bytes, *, begin: float, seconds: float, status: bytes) -> Tally:
    """Ask on every connection, and again as soon as it is answered, until the time is over."""
    tally = Tally()
    clients: list[Connection] = [key.data for key in selector.get_map().values()]
    for client in clients:
        client.asked_at = time.perf_counter()
        client.sock.sendall(request)
    now = time.perf_counter()
    while now < begin + seconds or len(tally.milliseconds) < len(clients):
        for key, _ in selector.select(1.0):
            client = key.data
            if not receive(client):
                continue
            now = time.perf_counter()
            if now >= begin:
                tally.milliseconds.append((now - client.asked_at) * 1000)
            tally.refused += client.status != status
            client.asked_at = now
            client.sock.sendall(request)
        now = time.perf_counter()
    tally.seconds = now - begin
    return tally


def main() -> None:
    """Read the request from standard input, drive, print the figures."""
    port, connections, warm_up, seconds, status = sys.argv[1:]
    wall, own = time.perf_counter(), time.process_time()
    tally = drive(
        int(port),
        sys.stdin.buffer.read(),
        connections=int(connections),
        warm_up=float(warm_up),
        seconds=float(seconds),
        status=status.encode(),
    )
    found = sorted(tally.milliseconds)
    figures = {
        "per_second": len(found) / tally.seconds,
        "p50_ms": found[len(found) // 2],
        "p99_ms": found[len(found) * 99 // 100],
        "refused": tally.refused,
        "own_cpu_share": (time.process_time() - own) / (time.perf_counter() - wall),
    }
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
