"""Processes die, Redis is emptied, Postgres restarts: every accepted job ends, every write is there once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from redis import Redis
from sqlalchemy.orm import Session

from app.jobs.services.enqueue import enqueue_all
from app.jobs.types import JobKind, NewJob
from tests.flows.conftest import System, kill_tree
from tests.flows.kinds import BULK, SERIAL, TABLES, WORK

pytestmark = pytest.mark.flow


@pytest.fixture
def storm(system: System) -> Callable[..., list[UUID]]:
    """Accept jobs, as the API does: in one transaction, committed."""
    for table in TABLES:
        system.sql(table)

    def _storm(count: int, kind: JobKind = WORK, **params: Any) -> list[UUID]:
        engine = system.engine
        with Session(engine) as session:
            jobs = [NewJob(kind=kind, params=params, principal="user:test") for _ in range(count)]
            ids = enqueue_all(session, jobs)
            session.commit()
        engine.dispose()
        return [job_id for job_id in ids if isinstance(job_id, UUID)]

    return _storm


def ended(system: System) -> int:
    """How many jobs have ended."""
    return int(system.sql("SELECT count(*) FROM jobs WHERE finished_at IS NOT NULL")[0][0])


def begun(system: System) -> int:
    """How many bodies have begun."""
    return int(system.sql("SELECT count(*) FROM bodies")[0][0])


def audit(system: System, accepted: list[UUID]) -> None:
    """Nothing lost, nothing twice: each accepted job succeeded and wrote exactly once."""
    statuses = dict(system.sql("SELECT status, count(*) FROM jobs GROUP BY status"))
    assert statuses == {"succeeded": len(accepted)}
    assert system.sql("SELECT count(*), count(DISTINCT job_id) FROM writes")[0] == (len(accepted), len(accepted))
    assert system.sql("SELECT count(*) FROM jobs WHERE claim_token IS NOT NULL OR lease_until IS NOT NULL")[0][0] == 0


def test_a_killed_worker_loses_nothing(system: System, storm: Any) -> None:
    accepted = storm(60, milliseconds=50)
    system.start_dispatcher()
    victim = system.start_worker("first")
    system.wait_for(lambda: begun(system) >= 10)
    kill_tree(victim)
    system.start_worker("second")
    system.wait_for(lambda: ended(system) == len(accepted))
    audit(system, accepted)


def test_a_killed_pool_child_loses_nothing_and_a_poison_job_ends(system: System, storm: Any) -> None:
    accepted = storm(10, milliseconds=10) + storm(1, die=2)
    system.start_dispatcher()
    system.start_worker()
    system.wait_for(lambda: ended(system) == len(accepted), 60)
    audit(system, accepted)
    assert system.sql("SELECT max(crashes), max(attempt) FROM jobs")[0] == (2, 1)


def test_an_emptied_redis_loses_nothing(system: System, storm: Any) -> None:
    accepted = storm(200, milliseconds=5)
    dispatcher = system.start_dispatcher()
    redis = Redis.from_url(system.broker.url)
    system.wait_for(lambda: redis.llen("default") == 200)
    redis.flushall()
    system.start_worker()
    system.wait_for(lambda: ended(system) == len(accepted))
    audit(system, accepted)
    assert dispatcher.poll() is None


def test_a_restarted_postgres_loses_nothing(system: System, storm: Any) -> None:
    accepted = storm(100, milliseconds=20)
    system.start_dispatcher()
    system.start_worker()
    system.wait_for(lambda: begun(system) >= 20)
    system.postgres.stop()
    system.postgres.start()
    system.wait_for(lambda: ended(system) == len(accepted))
    audit(system, accepted)


def test_a_paused_worker_wakes_too_late_to_write(system: System, storm: Any) -> None:
    accepted = storm(1, milliseconds=1000)
    system.start_dispatcher()
    sleeper = system.start_worker("sleeper", concurrency=1)
    system.wait_for(lambda: begun(system) == 1)
    pause(sleeper, signal.SIGSTOP)
    system.start_worker("other", concurrency=1)
    system.wait_for(lambda: ended(system) == 1)
    pause(sleeper, signal.SIGCONT)
    system.wait_for(lambda: "lease_lost" in sleeper.log.read_text())
    audit(system, accepted)
    assert begun(system) == 2


def pause(process: Any, number: signal.Signals) -> None:
    """Stop or continue a worker and its children."""
    os.killpg(process.pid, number)


def test_three_dispatchers_send_no_more_than_one(system: System, storm: Any) -> None:
    accepted = storm(300, BULK) + storm(100)
    for number in range(3):
        system.start_dispatcher(f"dispatcher-{number}")
    system.start_worker()
    system.wait_for(lambda: ended(system) == len(accepted))
    audit(system, accepted)


def test_serial_jobs_keep_their_order_through_a_death(system: System, storm: Any) -> None:
    accepted = storm(12, SERIAL, milliseconds=30)
    system.start_dispatcher()
    victim = system.start_worker("first")
    system.wait_for(lambda: begun(system) >= 4)
    kill_tree(victim)
    system.start_worker("second")
    system.wait_for(lambda: ended(system) == len(accepted))
    audit(system, accepted)
    written = [row.job_id for row in system.sql("SELECT job_id FROM writes ORDER BY number")]
    assert written == accepted
