"""Enqueueing from a process that holds its connections: one by one, and in batches of 100."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from app.core.db import make_engine
from app.jobs.services.enqueue import enqueue, enqueue_all
from app.jobs.types import NewJob
from bench.baselines import celery_noop
from bench.ours.kinds import NOOP
from bench.queue_drain import RAW_QUEUE
from bench.report import Row, compared
from bench.stand import OURS, Stand

SECONDS = 1.0
BATCH = 100
JOB = NewJob(kind=NOOP, params={}, principal="user:bench")


def measure(stand: Stand, *, runs: int, progress: Callable[[str], None], seconds: float = SECONDS) -> list[Row]:
    """Ours commits each job, or each batch; Celery publishes each message, or a pipelined batch."""
    app = celery_noop.app
    app.conf.broker_url = stand.broker.url
    engine = make_engine(stand.postgres.url(OURS))
    found: dict[str, list[float]] = {"ours": [], "ours_batch": [], "celery": [], "celery_batch": []}
    with Session(engine) as session, app.producer_pool.acquire(block=True) as producer:

        def one() -> None:
            enqueue(session, JOB)
            session.commit()

        def many() -> None:
            enqueue_all(session, [JOB] * BATCH)
            session.commit()

        def publish() -> None:
            celery_noop.noop.apply_async(queue=RAW_QUEUE, producer=producer)

        def publish_many() -> None:
            with producer.batch(max_size=BATCH):
                for _ in range(BATCH):
                    publish()

        steps = {
            "ours": (one, 1),
            "celery": (publish, 1),
            "ours_batch": (many, BATCH),
            "celery_batch": (publish_many, BATCH),
        }
        for run in range(runs):
            progress(f"enqueue: run {run + 1} of {runs}")
            for name, (step, size) in steps.items():
                step()
                found[name].append(size * per_second(step, seconds))
            stand.sql(OURS, "TRUNCATE jobs, jobs_archive")
            stand.redis.flushall()
    engine.dispose()
    return [
        compared("enqueue/s, baseline: apply_async", found["ours"], found["celery"]),
        compared("enqueue/s in batches of 100, baseline: kombu batch", found["ours_batch"], found["celery_batch"]),
    ]


def per_second(step: Callable[[], None], seconds: float) -> float:
    """How often a second the step can be taken."""
    begin, done = time.monotonic(), 0
    while (taken := time.monotonic() - begin) < seconds:
        step()
        done += 1
    return done / taken
