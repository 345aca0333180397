"""What is done to plain Celery: each strike in the middle of a hundred jobs, unless it says otherwise."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from app.ops.adapters.probes import worker_answers
from tests.faults.baseline.ground import VISIBILITY_SECONDS, Ground, kill_tree

JOBS, MILLISECONDS = 100, 80
STRUCK_AT = 30
Strike = Callable[[Ground], None]


@dataclass(frozen=True)
class Fault:
    """A line of the table. The strike begins when the ground's jobs are under way."""

    name: str
    strike: Strike


def under_way(ground: Ground) -> None:
    """Jobs accepted, a worker on them, some begun; the fault is due."""
    ground.start_api()
    ground.submit(JOBS, milliseconds=MILLISECONDS)
    ground.start_worker()
    ground.wait_for(lambda counts: counts.begun >= STRUCK_AT, 60)
    ground.strikes()


def worker_killed(ground: Ground) -> None:
    under_way(ground)
    kill_tree(ground.processes["worker"])


def child_killed(ground: Ground) -> None:
    under_way(ground)
    os.kill(psutil.Process(ground.processes["worker"].pid).children()[0].pid, signal.SIGKILL)


def redis_flushed(ground: Ground) -> None:
    under_way(ground)
    with ground.broker() as redis:
        redis.flushall()


def redis_restarted_empty(ground: Ground) -> None:
    under_way(ground)
    ground.redis.process.kill()
    shutil.rmtree(ground.redis.directory / "appendonlydir")
    ground.redis.start()


def redis_out_of_memory(ground: Ground) -> None:
    """No room while jobs are taken, published and submitted; then room again."""
    under_way(ground)
    with ground.broker() as redis:
        redis.config_set("maxmemory", "100kb")
        ground.submit(20, milliseconds=MILLISECONDS)
        redis.config_set("maxmemory", "256mb")


def worker_paused(ground: Ground) -> None:
    """Stopped until another worker has done what it can; then it goes on."""
    under_way(ground)
    paused = ground.processes["worker"].pid or 0
    os.killpg(paused, signal.SIGSTOP)
    ground.start_worker("second")
    ground.settle()
    os.killpg(paused, signal.SIGCONT)


def postgres_restarted(ground: Ground) -> None:
    under_way(ground)
    ground.postgres.stop()
    ground.postgres.start()


def postgres_crashed(ground: Ground) -> None:
    under_way(ground)
    ground.postgres.process.kill()
    ground.postgres.start()


def api_killed(ground: Ground) -> None:
    """The process dies once, after the row's commit, when `.delay()` is about to publish; the client sends again."""
    ground.start_api("tests.faults.baseline.dying_api:create_app")
    ground.start_worker()
    ground.strikes()
    ground.submit(JOBS, milliseconds=0)


def poison(ground: Ground) -> None:
    """One task that kills every child it runs in, among healthy ones; it is itself not counted as lost."""
    ground.start_api()
    ground.submit(10, milliseconds=MILLISECONDS)
    ground.submit(1, die=True)
    ground.submit(10, milliseconds=MILLISECONDS)
    ground.start_worker()
    ground.strikes()


def long_task(ground: Ground) -> None:
    """Two tasks of twice the visibility timeout, and workers to spare for who gets them again."""
    ground.start_api()
    ground.submit(2, milliseconds=2000 * VISIBILITY_SECONDS)
    ground.start_worker()
    ground.start_worker("second")
    ground.wait_for(lambda counts: counts.begun >= 2, 60)
    ground.strikes()
    ground.settle(longest_task=2 * VISIBILITY_SECONDS)


def two_beats(ground: Ground) -> None:
    beating(ground, "beat", "beat-2")
    ground.count_ticks(outage=0, seconds=10)


def beat_dead(ground: Ground) -> None:
    beating(ground, "beat")
    ground.count_ticks(outage=10, seconds=1)


def beating(ground: Ground, *beats: str) -> None:
    """A worker that answers, then beats: else the first slots would run in a heap."""
    ground.start_worker()
    ground.processes["worker"].wait_ready(lambda: worker_answers(ground.redis.url, "worker"), 60)
    for beat in beats:
        ground.start_beat(beat)


FAULTS = (
    Fault("worker SIGKILL", worker_killed),
    Fault("pool child SIGKILL", child_killed),
    Fault("FLUSHALL", redis_flushed),
    Fault("Redis killed, back empty", redis_restarted_empty),
    Fault("Redis out of memory", redis_out_of_memory),
    Fault("worker SIGSTOP, resumed", worker_paused),
    Fault("Postgres fast restart", postgres_restarted),
    Fault("Postgres crash", postgres_crashed),
    Fault("API dies after commit", api_killed),
    Fault("poison task", poison),
    Fault("task beyond visibility", long_task),
    Fault("two beats", two_beats),
    Fault("beat dead for ten slots", beat_dead),
)
