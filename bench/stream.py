"""`manage.py bench stream`: from a price's transaction to a thousand sockets of one streaming process.

Half of the readers by SSE, half by WebSocket, all on `prices:*`. A change is a transaction of several prices, as a
refresh writes them; its moment is taken before the transaction begins, on the machine where the readers are. The
baseline in the same run is as many sockets subscribed to Redis itself.
"""

from __future__ import annotations

import base64
import json
import os
import random
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
from sqlalchemy.orm import Session

from app.core.events import NewEvent, Standing, emit_all
from app.core.http.principal import Principal
from app.core.redis import make_redis
from app.jobs.adapters.wake import Waker
from app.ops.adapters import probes
from app.ops.adapters.process import ServerProcess, free_port
from app.streaming.adapters.tickets import Tickets
from bench.baselines import plain_pubsub
from bench.machine import describe
from bench.report import Report, Row, compared
from bench.stand import OURS, ROOT, START_SECONDS, Stand, standing

READERS = 1000
FEEDS = 5
WARM_UP, CHANGES = 10, 60
PAUSE_SECONDS = (0.15, 0.35)
LATENCY_BAR_MS = 150.0
SETTLE_SECONDS = 2.0
TICKET_SECONDS = 60
PARTS = ("latency",)


def measure(run_folder: Path, *, only: Sequence[str], runs: int, progress: Callable[[str], None]) -> Report:
    """One series, and one of the baseline: percentiles are over single deliveries, so `runs` does not repeat it."""
    load_before = os.getloadavg()[0]
    with standing(run_folder) as stand:
        machine = describe(stand, load_before)
        progress(f"stream: {READERS} readers, {CHANGES} changes of {FEEDS} prices")
        ours, megabytes = measure_ours(stand)
        progress(f"stream: {READERS} subscribers of Redis itself")
        floor = measure_floor(stand)
    expected = READERS * CHANGES * FEEDS
    rows = [
        Row(metric="price to socket, ms, p99", ours=ours["p99_ms"], bar=LATENCY_BAR_MS, ceiling=True),
        compared("the same, beside Redis's own subscribers", [ours["p99_ms"]], [floor["p99_ms"]]),
        compared("price to socket, ms, p50, beside the same", [ours["p50_ms"]], [floor["p50_ms"]]),
        Row(metric="deliveries missing", ours=expected - ours["events"], bar=0, ceiling=True),
        Row(metric="streams cut", ours=ours["hung_up"], bar=0, ceiling=True),
        Row(metric="processor time a delivery, µs", ours=1e6 * ours["server_cpu_seconds"] / (expected / FEEDS)),
        Row(metric="memory of the streaming process, MB", ours=megabytes),
    ]
    return Report(bench="stream", machine=machine, runs=1, rows=rows)


def measure_ours(stand: Stand) -> tuple[dict[str, Any], float]:
    """What the readers of a streaming process saw, and its memory then."""
    dispatcher = stand.start_dispatcher()
    port = free_port()
    limits = {"STREAM__MAX_PER_PRINCIPAL": str(READERS), "STREAM__PORT": str(port)}
    stream = stand.start("stream", [sys.executable, "-m", "bench.ours.stream"], **limits)
    stream.wait_ready(partial(probes.http_answers, f"http://127.0.0.1:{port}/health/ready"), START_SECONDS)
    tickets = Tickets(make_redis(stand.cache.url), TICKET_SECONDS)
    who = Principal("user:bench", frozenset(), "session", "bench")
    words = [tickets.put(who, ("prices:*",), tickets.now_ms()) for _ in range(READERS)]
    requests = [request(word, upgrade=place % 2 == 0) for place, word in enumerate(words)]
    engine = stand.engine(OURS)
    with reading(requests, port) as readers:
        waker = Waker(stand.redis, 0.0)
        before = cpu_seconds(stream)
        with Session(engine) as session:
            play(lambda name: change(session, waker, name))
        figures = end(readers) | {"server_cpu_seconds": cpu_seconds(stream) - before}
    engine.dispose()
    megabytes = memory_megabytes(stream)
    stand.end(stream, dispatcher)
    return figures, megabytes


def measure_floor(stand: Stand) -> dict[str, Any]:
    """The same readers on Redis itself."""
    url = urlsplit(stand.broker.url)
    requests = [plain_pubsub.request(url.password or "")] * READERS
    with reading(requests, url.port or 0) as readers, make_redis(stand.broker.url) as redis:
        play(lambda name: plain_pubsub.publish(redis, json.dumps([payload(name)] * FEEDS, separators=(",", ":"))))
        return end(readers)


def request(ticket: str, *, upgrade: bool) -> str:
    """The first bytes of a reader: a WebSocket's, or an SSE stream's."""
    lines = [f"GET /v1/stream?ticket={ticket} HTTP/1.1", "Host: 127.0.0.1"]
    if upgrade:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        lines += ["Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"]
    return "\r\n".join(lines) + "\r\n\r\n"


def play(act: Callable[[str], None]) -> None:
    """Changes at irregular moments; those of the warm-up bear another name, which readers do not count."""
    draw = random.Random(1)  # noqa: S311 - the same moments each time
    for place in range(WARM_UP + CHANGES):
        time.sleep(draw.uniform(*PAUSE_SECONDS))
        act("made_at" if place >= WARM_UP else "warm_up")
    time.sleep(SETTLE_SECONDS)  # what is late still counts


def change(session: Session, waker: Waker, name: str) -> None:
    """One transaction of several prices, and the wake-up after it, as `tasks/base.py` does both."""
    told = payload(name)
    emit_all(session, [NewEvent("prices", f"0x{feed:064x}", told, Standing.STATE) for feed in range(FEEDS)])
    session.commit()
    waker.wake()


def payload(name: str) -> dict[str, str]:
    """A price's event, with the moment before its transaction."""
    return {"symbol": "ETH/USD", "price": "2500.12345678", "confidence": "1.2", name: f"{time.time():.6f}"}


@contextmanager
def reading(requests: Sequence[str], port: int) -> Iterator[subprocess.Popen[str]]:
    """Readers that are all open, in a process of their own."""
    command = [sys.executable, "-m", "bench.stream_readers", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as readers:  # noqa: S603
        try:
            assert readers.stdin is not None
            assert readers.stdout is not None
            readers.stdin.write("".join(json.dumps(one) + "\n" for one in requests) + "\n")
            readers.stdin.flush()
            if readers.stdout.readline() != "ready\n":
                raise RuntimeError("the readers did not open")
            yield readers
        finally:
            readers.kill()


def end(readers: subprocess.Popen[str]) -> dict[str, Any]:
    """End the readers; what they saw."""
    output, _ = readers.communicate()
    figures: dict[str, Any] = json.loads(output)
    return figures


def cpu_seconds(process: ServerProcess) -> float:
    """The processor time it has taken so far."""
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)


def memory_megabytes(process: ServerProcess) -> float:
    """What it holds in memory of its own."""
    return float(psutil.Process(process.pid).memory_info().rss) / 1e6
