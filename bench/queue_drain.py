"""Drain of jobs that wait already: ours beside raw Celery, and beside raw Celery with two bare commits a task.

Each side's work lies ready before its consumer goes on: ours as rows while the dispatcher is paused, the baselines' as
messages while the worker is. The clock runs from there to the end of the last job.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from celery import Celery
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.jobs.services.enqueue import enqueue_all
from app.jobs.types import JobKind, NewJob
from app.ops.adapters.process import ServerProcess
from bench.baselines import celery_noop
from bench.ours.kinds import NOOP, NOOP_BULK, NOOP_SAFE_CLAIM
from bench.report import Row, compared
from bench.stand import OURS, PLAIN, Stand, paused, wait_until

SECONDS = 2.5
WARM_UP_JOBS, MOST_JOBS = 200, 20_000
POOLS = {"prefork 2": ("-c", "2"), "threads 8": ("-c", "8", "-P", "threads")}
LONGEST_SECONDS = 120.0
RAW_QUEUE = "baseline"
FILL_WORK = """
    TRUNCATE work;
    INSERT INTO work SELECT n FROM generate_series(0, 19999) AS n;
    ANALYZE work
"""
WAITING = text("SELECT EXISTS (SELECT FROM jobs WHERE status IN ('in_doubt', 'queued', 'running'))")
ENDED = text("SELECT count(*) AS jobs, extract(epoch FROM max(finished_at)) AS at FROM jobs WHERE status = 'succeeded'")
Drain = Callable[[int], float]


def measure(stand: Stand, *, runs: int, progress: Callable[[str], None], seconds: float = SECONDS) -> list[Row]:
    """Both pools, one after the other; in each all variants `runs` times in turn, each for about `seconds`."""
    stand.sql(PLAIN, celery_noop.TABLE)
    found: list[Row] = []
    for pool, options in POOLS.items():
        ours = stand.start_worker("ours", "bench.ours.worker", "default,bulk", *options)
        raw = stand.start_worker("raw", "bench.baselines.celery_noop", RAW_QUEUE, *options)
        dispatcher = stand.start_dispatcher()
        sides = Sides(stand, dispatcher, raw)
        variants: dict[str, Drain] = {
            "raw": sides.drain_raw,
            "commits": sides.drain_commits,
            "ours": partial(sides.drain_ours, NOOP),
            "safe": partial(sides.drain_ours, NOOP_SAFE_CLAIM),
        }
        if pool.startswith("prefork"):
            variants["bulk"] = partial(sides.drain_ours, NOOP_BULK)
        found += rows(pool, interleaved(variants, runs, seconds, progress, f"drain, {pool}"))
        stand.end(ours, raw, dispatcher)
    return found


def interleaved(
    variants: dict[str, Drain], runs: int, seconds: float, progress: Callable[[str], None], title: str
) -> dict[str, list[float]]:
    """Each variant unmeasured first, to learn how many jobs last `seconds`; then all in turn, `runs` times."""
    jobs: dict[str, int] = {}
    for name, drain in variants.items():
        progress(f"{title}: {name} warms up")
        drain(WARM_UP_JOBS)
        jobs[name] = min(MOST_JOBS, max(WARM_UP_JOBS, int(seconds * drain(WARM_UP_JOBS))))
    found: dict[str, list[float]] = {name: [] for name in variants}
    for run in range(runs):
        for name, drain in variants.items():
            progress(f"{title}: run {run + 1} of {runs}, {name}")
            found[name].append(drain(jobs[name]))
    return found


def rows(pool: str, found: dict[str, list[float]]) -> list[Row]:
    """One pool's figures, compared."""
    made = [
        compared(f"drain/s, {pool}, baseline: Celery + two commits", found["ours"], found["commits"], bar=0.8),
        compared(f"drain/s, {pool}, baseline: raw Celery", found["ours"], found["raw"]),
        compared(f"drain/s, {pool}, claims that wait for the disk, baseline: Celery + two commits", found["safe"],
                 found["commits"]),
    ]  # fmt: skip
    if "bulk" in found:
        made.append(compared(f"drain/s, {pool}, bulk kind, baseline: raw Celery", found["bulk"], found["raw"], bar=6))
    return made


class Sides:
    """Both consumers at rest; each method fills one side's queue, lets it go, and says jobs a second."""

    def __init__(self, stand: Stand, dispatcher: ServerProcess, raw: ServerProcess):
        self._stand = stand
        self._dispatcher = dispatcher
        self._raw = raw
        self._celery = celery_noop.app
        self._celery.conf.broker_url = stand.broker.url

    def drain_ours(self, kind: JobKind, count: int) -> float:
        """Rows that wait, then the dispatcher goes on."""
        self._stand.sql(OURS, "TRUNCATE jobs, jobs_archive")
        engine = self._stand.engine(OURS)
        with paused(self._dispatcher):
            fill(engine, kind, count)
        begin = time.time()
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            wait_until(lambda: not connection.scalar(WAITING), LONGEST_SECONDS, pause=0.02)
            ended = connection.execute(ENDED).one()
        engine.dispose()
        if ended.jobs != count:
            raise RuntimeError(f"{ended.jobs} of {count} jobs succeeded")
        return count / (float(ended.at) - begin)

    def drain_raw(self, count: int) -> float:
        """No-op messages that wait, then the worker goes on."""
        return self._drain("baseline.noop", [()] * count)

    def drain_commits(self, count: int) -> float:
        """The same with two durable commits a task."""
        self._stand.sql(PLAIN, FILL_WORK)
        return self._drain("baseline.two_commits", [(number,) for number in range(count)])

    def _drain(self, task: str, messages: list[tuple[int, ...]]) -> float:
        redis = self._stand.redis
        with paused(self._raw):
            publish(self._celery, task, messages)
        begin = time.monotonic()
        # `unacked` holds what the worker has taken and not yet begun.
        wait_until(lambda: not redis.llen(RAW_QUEUE) and not redis.hlen("unacked"), LONGEST_SECONDS)
        return len(messages) / (time.monotonic() - begin)


def fill(engine: Engine, kind: JobKind, count: int, *, batch: int = 500) -> None:
    """Enqueue that many jobs, through the service."""
    with Session(engine) as session:
        for start in range(0, count, batch):
            jobs = [NewJob(kind=kind, params={}, principal="user:bench") for _ in range(min(batch, count - start))]
            enqueue_all(session, jobs)
            session.commit()


def publish(app: Celery, task: str, messages: Iterable[tuple[object, ...]]) -> None:
    """Publish with kombu's pipelined batch, the fastest way there is."""
    with app.producer_pool.acquire(block=True) as producer, producer.batch(max_size=500):
        for arguments in messages:
            app.send_task(task, args=arguments, queue=RAW_QUEUE, producer=producer)
