"""A thousand readers, cheap: one process, one thread, raw sockets, no library; they look for when an event was made.

`python -m bench.stream_readers PORT` with one request a line (JSON) on standard input; an empty line ends them. It
prints `ready` once each was answered, and at the end of the input one JSON object.
"""

from __future__ import annotations

import json
import re
import resource
import selectors
import socket
import sys
import time
from dataclasses import dataclass, field

MADE_AT = re.compile(rb'"made_at":"(\d+\.\d+)"')
OPEN_WORDS = (b"event: snapshot", b'{"type":"snapshot"', b"subscribe")
TAIL = 64
OPEN_SECONDS = 120.0


@dataclass
class Reader:
    """One connection: whether it is open, and the end of what it has read, where an event may be cut in two."""

    sock: socket.socket
    is_open: bool = False
    tail: bytes = b""


@dataclass
class Tally:
    """What came."""

    milliseconds: list[float] = field(default_factory=list)
    hung_up: int = 0


def read(reader: Reader, tally: Tally) -> bool:
    """Take what has arrived; false when the server hung up."""
    data = reader.sock.recv(262_144)
    now = time.time()
    if not data:
        tally.hung_up += 1
        return False
    data = reader.tail + data
    end = 0
    for found in MADE_AT.finditer(data):
        tally.milliseconds.append((now - float(found[1])) * 1000)
        end = found.end()
    reader.is_open = reader.is_open or any(word in data for word in OPEN_WORDS)
    reader.tail = data[max(end, len(data) - TAIL) :]
    return True


def main() -> None:
    """Open, say so, count until the end of the input, and print the figures."""
    port = int(sys.argv[1])
    requests = [json.loads(line).encode() for line in iter(sys.stdin.readline, "\n")]
    tally, selector = Tally(), selectors.DefaultSelector()
    readers = []
    for request in requests:
        reader = Reader(socket.create_connection(("127.0.0.1", port)))
        reader.sock.sendall(request)
        selector.register(reader.sock, selectors.EVENT_READ, reader)
        readers.append(reader)
    selector.register(sys.stdin, selectors.EVENT_READ, None)
    deadline = time.monotonic() + OPEN_SECONDS
    ready: list[tuple[selectors.SelectorKey, int]] = []
    said = False
    is_over = False
    while not is_over or ready:  # at the end, what has arrived is still read
        ready = selector.select(0.0 if is_over else 1.0)
        for key, _ in ready:
            if key.data is None or not read(key.data, tally):
                is_over = is_over or key.data is None
                selector.unregister(key.fileobj)
        if not said and not is_over and all(reader.is_open for reader in readers):
            said = True
            sys.stdout.write("ready\n")
            sys.stdout.flush()
        if not said and time.monotonic() > deadline:
            raise TimeoutError(f"{sum(not reader.is_open for reader in readers)} readers are not open")
    report(tally)


def report(tally: Tally) -> None:
    """Print one JSON object."""
    found = sorted(tally.milliseconds)
    figures = {
        "events": len(found),
        "p50_ms": found[len(found) // 2] if found else None,
        "p99_ms": found[len(found) * 99 // 100] if found else None,
        "hung_up": tally.hung_up,
        "cpu_seconds": resource.getrusage(resource.RUSAGE_SELF).ru_utime,
    }
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
