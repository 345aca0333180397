"""Memory: a backlog of 10⁵ jobs in Redis, and what the processes hold before and after they have worked it off.

The workers are paused while the backlog is made, so that it stands as a whole: over HTTP in batches with ours, by
kombu's batch with raw Celery. Nine tenths of ours are of a bulk kind, so that the run stays short.
"""

from __future__ import annotations

from collections.abc import Callable

import psutil
import requests

from app.ops.adapters.process import ServerProcess
from bench.baselines import celery_noop
from bench.ours.kinds import NOOP, NOOP_BULK
from bench.queue_drain import RAW_QUEUE, WAITING, publish
from bench.queue_submit import BATCH, empty, sign_in
from bench.report import Row
from bench.stand import OURS, Stand, paused, wait_until

JOBS = 100_000
WARM_UP_JOBS = 2_000
LONGEST_SECONDS = 600.0
MEGABYTE = 2**20


def measure(stand: Stand, *, runs: int, progress: Callable[[str], None], jobs: int = JOBS) -> list[Row]:
    """Once each: memory is no matter of luck, so `runs` does not repeat it."""
    ours = ours_megabytes(stand, jobs, progress)
    raw = raw_megabytes(stand, jobs, progress)
    rows = []
    for name in ("Redis before", "Redis with the backlog", "Redis after", "worker before", "worker after"):
        rows.append(
            Row(
                metric=f"{name}, MB, baseline: raw Celery",
                ours=ours[name],
                baseline=raw[name],
                ratio=ours[name] / raw[name],
            )
        )
    for name in ("API before", "API after", "dispatcher before", "dispatcher after"):
        rows.append(Row(metric=f"{name}, MB", ours=ours[name]))
    return rows


def ours_megabytes(stand: Stand, jobs: int, progress: Callable[[str], None]) -> dict[str, float]:
    """API, dispatcher and worker, warm; then the backlog; then the same when it is done."""
    empty(stand)
    api, port = stand.start_api("api-memory", "bench.ours.api:create_app")
    dispatcher = stand.start_dispatcher()
    worker = stand.start_worker("memory", "bench.ours.worker", "default,bulk", "-c", "2")
    processes = {"API": api, "dispatcher": dispatcher, "worker": worker}
    client = requests.Session()
    client.headers["Authorization"] = f"Bearer {sign_in(stand, port)}"
    url = f"http://127.0.0.1:{port}/v1/jobs/batch"
    submit_batches(client, url, WARM_UP_JOBS)
    wait_for_end(stand)
    found = {f"{name} before": megabytes(process) for name, process in processes.items()}
    found["Redis before"] = redis_megabytes(stand)
    progress(f"memory: {jobs} jobs over HTTP")
    with paused(worker):
        submit_batches(client, url, jobs)
        found["Redis with the backlog"] = redis_megabytes(stand)
    progress(f"memory: {jobs} jobs are worked off")
    wait_for_end(stand)
    found |= {f"{name} after": megabytes(process) for name, process in processes.items()}
    found["Redis after"] = redis_megabytes(stand)
    stand.end(api, dispatcher, worker)
    return found


def raw_megabytes(stand: Stand, jobs: int, progress: Callable[[str], None]) -> dict[str, float]:
    """The same with raw Celery's worker."""
    empty(stand)
    app, redis = celery_noop.app, stand.redis
    app.conf.broker_url = stand.broker.url
    worker = stand.start_worker("raw-memory", "bench.baselines.celery_noop", RAW_QUEUE, "-c", "2")

    def drained() -> bool:
        return not redis.llen(RAW_QUEUE) and not redis.hlen("unacked")

    publish(app, "baseline.noop", [()] * WARM_UP_JOBS)
    wait_until(drained, LONGEST_SECONDS, pause=0.1)
    found = {"worker before": megabytes(worker), "Redis before": redis_megabytes(stand)}
    progress(f"memory: {jobs} messages to raw Celery")
    with paused(worker):
        publish(app, "baseline.noop", [()] * jobs)
        found["Redis with the backlog"] = redis_megabytes(stand)
    progress(f"memory: {jobs} messages are worked off")
    wait_until(drained, LONGEST_SECONDS, pause=0.1)
    found |= {"worker after": megabytes(worker), "Redis after": redis_megabytes(stand)}
    stand.end(worker)
    return found


def submit_batches(client: requests.Session, url: str, jobs: int) -> None:
    """Batches of 100, every tenth of the single kind."""
    for number in range(jobs // BATCH):
        kind = NOOP_BULK if number % 10 else NOOP
        answer = client.post(url, json={"jobs": [{"kind": kind.name}] * BATCH}, timeout=60)
        answer.raise_for_status()


def wait_for_end(stand: Stand) -> None:
    """Until no job is live."""
    engine = stand.engine(OURS)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        wait_until(lambda: not connection.scalar(WAITING), LONGEST_SECONDS, pause=0.2)
    engine.dispose()


def megabytes(process: ServerProcess) -> float:
    """What a process and its children hold together; pages they share count in each."""
    assert process.pid is not None
    parent = psutil.Process(process.pid)
    held: int = sum(one.memory_info().rss for one in (parent, *parent.children(recursive=True)))
    return held / MEGABYTE


def redis_megabytes(stand: Stand) -> float:
    """`used_memory` of the broker."""
    used: float = stand.redis.info("memory")["used_memory"] / MEGABYTE
    return used
