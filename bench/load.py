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
    """Send for `warm_up + seconds`; what was answered after the warm-up counts."""
    selector = selectors.DefaultSelector()
    tally = Tally()
    begin = time.perf_counter() + warm_up
    end = begin + seconds
    for _ in range(connections):
        sock = socket.create_connection(("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(sock, selectors.EVENT_READ, Connection(sock, time.perf_counter()))
        sock.sendall(request)
    now = time.perf_counter()
    while now < end:
        for key, _ in selector.select(1.0):
            connection: Connection = key.data
            if not receive(connection):
                continue
            now = time.perf_counter()
            if now >= begin:
                tally.milliseconds.append((now - connection.asked_at) * 1000)
            tally.refused += connection.status != status
            connection.asked_at = now
            connection.sock.sendall(request)
        now = time.perf_counter()
    for key in list(selector.get_map().values()):
        key.data.sock.close()
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
        "per_second": len(found) / float(seconds),
        "p50_ms": found[len(found) // 2],
        "p99_ms": found[len(found) * 99 // 100],
        "refused": tally.refused,
        "own_cpu_share": (time.process_time() - own) / (time.perf_counter() - wall),
    }
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
