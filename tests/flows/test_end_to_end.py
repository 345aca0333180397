"""From a signed-in client's POST to the row and back, through every process; and schedules under two beats."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import requests
from redis import Redis
from sqlalchemy.orm import Session

from app.accounts.adapters.argon2 import Passwords
from app.accounts.services.users import create_user
from app.core.clock import utc_now
from app.core.http.principal import Origin
from app.ops.adapters.process import free_port
from tests.flows.conftest import CELERY, System

pytestmark = pytest.mark.flow
PASSWORD = "correct horse battery staple"


@pytest.fixture
def api(system: System) -> Callable[..., requests.Response]:
    """The API on a port of its own, and a client that has signed in."""
    port = free_port()
    system.start(
        "api", sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
        "--factory", "--workers", "1", "--blocking-threads", "16", "app.factory:create_app",
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    engine = system.engine
    with Session(engine) as session:
        create_user(
            session,
            passwords=Passwords(time_cost=1, memory_kib=1024, parallelism=1, at_once=1),
            login="alice",
            password=PASSWORD,
            scopes=["jobs:read", "jobs:write"],
            origin=Origin("test"),
            now=utc_now(),
        )
        session.commit()
    engine.dispose()
    system.wait_for(lambda: answers(f"{url}/health/live"))
    login = requests.post(f"{url}/v1/auth/login", json={"login": "alice", "password": PASSWORD}, timeout=10)
    client = requests.Session()
    client.headers["Authorization"] = f"Bearer {login.json()['access_token']}"

    def call(method: str, path: str, json: Any = None, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.request(method, url + path, json=json, headers=named, timeout=60)

    return call


def answers(url: str) -> bool:
    """True once the server is there."""
    try:
        return requests.get(url, timeout=1).ok
    except requests.RequestException:
        return False


def test_a_job_goes_from_post_to_row_and_back(system: System, api: Callable[..., requests.Response]) -> None:
    system.start_dispatcher()
    system.start_worker()
    job = {"kind": "jobs.probe", "params": {"steps": 3, "note": "hello"}}
    answer = api("POST", "/v1/jobs", job, Prefer="wait=30")
    assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
    assert answer.json()["result"] == {"steps": 3, "note": "hello", "resumed_from": 0}
    assert answer.json()["request_id"] == answer.headers["X-Request-ID"]
    line = next(line for line in worker_log(system) if "job_ended" in line)
    for word in (answer.json()["id"], "jobs.probe", answer.json()["request_id"]):
        assert word in line


def worker_log(system: System) -> list[str]:
    """What the worker wrote."""
    return next(p for p in system.processes if p.name == "worker").log.read_text().splitlines()


def test_two_hundred_accepted_jobs_survive_a_flush(system: System, api: Callable[..., requests.Response]) -> None:
    jobs = [{"kind": "jobs.probe"}] * 100
    batches = [api("POST", "/v1/jobs/batch", {"jobs": jobs}).json()["data"] for _ in range(2)]
    accepted = [item["job"]["id"] for batch in batches for item in batch]
    system.start_dispatcher()
    redis = Redis.from_url(system.broker.url)
    system.wait_for(lambda: redis.llen("default") == 200)
    redis.flushall()
    system.start_worker()
    system.wait_for(
        lambda: system.sql("SELECT count(*) FROM jobs WHERE status = 'succeeded'")[0][0] == len(accepted) == 200
    )


def test_two_beats_and_a_dead_one_fire_each_slot_once(system: System) -> None:
    system.sql(
        "INSERT INTO schedules (name, summary, kind, params, interval_seconds, time_zone, catch_up, catch_up_limit,"
        " catch_up_window_seconds, overlap, anchor_at, mark_at, next_at)"
        " VALUES ('s', 's', 'jobs.probe', '{}', 1, 'UTC',"
        " 'all', 1000, 86400, 'skip', date_trunc('second', now()), date_trunc('second', now()), now())"
    )
    command = (*CELERY, "beat", "-S", "tasks.beat:PostgresScheduler", "--pidfile=")
    beats = [system.start(f"beat-{n}", *command) for n in range(2)]
    system.wait_for(lambda: slots(system) >= 3)
    for beat in beats:
        beat.kill()
    before = slots(system)
    system.wait_for(lambda: system.sql("SELECT now() - max(slot_at) > interval '4 s' FROM schedule_slots")[0][0])
    system.start("beat-late", *command)
    system.wait_for(lambda: slots(system) >= before + 4)
    gaps = system.sql(
        "SELECT DISTINCT slot_at - lag(slot_at) OVER (ORDER BY slot_at) AS gap FROM jobs WHERE schedule = 's'"
    )
    assert {row.gap.total_seconds() for row in gaps if row.gap is not None} == {1.0}


def slots(system: System) -> int:
    """How many slots have fired."""
    return int(system.sql("SELECT count(*) FROM schedule_slots WHERE job_id IS NOT NULL")[0][0])
