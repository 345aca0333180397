"""Latency of an idle system: from the first byte of a POST to the start and to the end of the job.

The client's clock and the database's are one machine's: nothing is corrected, and their distance is shown.
"""

from __future__ import annotations

import json
import random
import socket
import time
from collections.abc import Callable
from http.client import HTTPResponse
from uuid import UUID

from redis import Redis
from sqlalchemy import Engine, text

from bench.baselines import celery_noop
from bench.queue_drain import RAW_QUEUE
from bench.queue_submit import JOB, empty, request, sign_in
from bench.report import Row, percentile
from bench.stand import OURS, Stand, wait_until

SUBMISSIONS = 300
WARM_UP = 20
PAUSE_SECONDS = (0.02, 0.12)
TIMES = text(
    "SELECT id, extract(epoch FROM started_at) AS started_at, extract(epoch FROM finished_at) AS finished_at"
    " FROM jobs WHERE id = ANY(:ids) AND status = 'succeeded'"
)
NOW = text("SELECT extract(epoch FROM clock_timestamp())")


def measure(stand: Stand, *, runs: int, progress: Callable[[str], None], submissions: int = SUBMISSIONS) -> list[Row]:
    """One series: its percentiles are over single jobs, so `runs` does not repeat it."""
    empty(stand)
    api, port = stand.start_api("api-latency", "app.factory:create_app")
    dispatcher = stand.start_dispatcher()
    worker = stand.start_worker("latency", "bench.ours.worker", "default,bulk", "-c", "2")
    engine = stand.engine(OURS)
    content = request("/v1/jobs", JOB, sign_in(stand, port))
    progress(f"latency: {submissions} submissions, irregularly")
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sent = spaced(WARM_UP + submissions, lambda: submit(client, content))[WARM_UP:]
    started, finished = delays(engine, sent)
    offset = clock_offset_seconds(engine)
    engine.dispose()
    stand.end(api, dispatcher, worker)
    progress(f"latency: {submissions} messages to raw Celery")
    raw = raw_delays(stand, submissions)
    return [
        Row(metric="POST to started_at, ms, p50", ours=percentile(started, 0.5), bar=5, ceiling=True),
        Row(metric="POST to started_at, ms, p99", ours=percentile(started, 0.99), bar=25, ceiling=True),
        Row(metric="POST to result, ms, p50", ours=percentile(finished, 0.5)),
        Row(metric="POST to result, ms, p99", ours=percentile(finished, 0.99)),
        beside_raw("p50", percentile(started, 0.5), percentile(raw, 0.5)),
        beside_raw("p99", percentile(started, 0.99), percentile(raw, 0.99)),
        Row(metric="database's clock minus the client's, ms", ours=1000 * offset),
    ]


def beside_raw(which: str, ours: float, raw: float) -> Row:
    """The same figure beside raw Celery's `apply_async` to the task's first line: how fast the machine is."""
    metric = f"POST to started_at, ms, {which}, baseline: apply_async to start"
    return Row(metric=metric, ours=ours, baseline=raw, ratio=ours / raw)


def spaced(count: int, act: Callable[[], tuple[UUID, float]]) -> list[tuple[UUID, float]]:
    """Act that often, the pauses between irregular: no timer of the system can fall into step."""
    random.seed(1)
    done = []
    for _ in range(count):
        time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - spreads requests
        done.append(act())
    return done


def submit(client: socket.socket, content: bytes) -> tuple[UUID, float]:
    """One POST; the job's id, and the moment before its first byte went out."""
    sent_at = time.time()
    client.sendall(content)
    with HTTPResponse(client, method="POST") as answer:
        answer.begin()
        content = answer.read()
        if answer.status != 202:
            raise RuntimeError(f"{answer.status} instead of 202: {content[:200]!r}")
    return UUID(json.loads(content)["id"]), sent_at


def delays(engine: Engine, sent: list[tuple[UUID, float]]) -> tuple[list[float], list[float]]:
    """Milliseconds from each submission to its job's start, and to its end."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        ids = {"ids": [job_id for job_id, _ in sent]}
        wait_until(lambda: len(connection.execute(TIMES, ids).all()) == len(sent), 60.0, pause=0.1)
        rows = {row.id: row for row in connection.execute(TIMES, ids)}
    started = [1000 * (float(rows[job_id].started_at) - sent_at) for job_id, sent_at in sent]
    finished = [1000 * (float(rows[job_id].finished_at) - sent_at) for job_id, sent_at in sent]
    return started, finished


def clock_offset_seconds(engine: Engine) -> float:
    """How far the database's clock is ahead of ours: from the quickest of some questions."""
    asked = []
    with engine.connect() as connection:
        for _ in range(50):
            before = time.time()
            theirs = float(connection.scalar(NOW) or 0)
            after = time.time()
            asked.append((after - before, theirs - (before + after) / 2))
    return min(asked)[1]


def raw_delays(stand: Stand, count: int) -> list[float]:
    """Milliseconds from `apply_async` to the task's first line, on an idle worker."""
    app = celery_noop.app
    app.conf.broker_url = stand.broker.url
    worker = stand.start_worker("raw-latency", "bench.baselines.celery_noop", RAW_QUEUE, "-c", "2")
    redis: Redis = stand.redis
    redis.delete(celery_noop.DELAYS)
    random.seed(1)
    for _ in range(WARM_UP + count):
        time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - spreads messages
        celery_noop.stamp.apply_async(args=(time.time(),), queue=RAW_QUEUE)
    wait_until(lambda: redis.llen(celery_noop.DELAYS) == WARM_UP + count, 60.0)
    found = [1000 * float(value) for value in redis.lrange(celery_noop.DELAYS, WARM_UP, -1)]
    stand.end(worker)
    return found
