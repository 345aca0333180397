"""A real server asked for far more than it can do: it refuses early, keeps what it accepted, and recovers by itself."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.accounts.adapters.argon2 import Passwords
from app.accounts.services.users import create_user
from app.core.clock import utc_now
from app.core.http.places import server_threads
from app.core.http.principal import Origin
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import ServerProcess, free_port

pytestmark = pytest.mark.flow
PASSWORD = "correct horse battery staple"
PLACES = 4
CLIENTS = 60
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Api:
    """One process of the API with few places, and a client that has signed in."""

    url: str
    token: str = ""

    def submit(self, key: str) -> requests.Response:
        """Submit a job on a connection of its own."""
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": key}
        return requests.post(f"{self.url}/v1/jobs", json={"kind": "jobs.probe"}, headers=headers, timeout=60)

    def health(self, which: str) -> int:
        """The status of a probe."""
        return requests.get(f"{self.url}/health/{which}", timeout=60).status_code


@pytest.fixture
def api(
    engine: Engine, database_url: str, broker: EmbeddedValkey, cache: EmbeddedValkey, tmp_path: Path
) -> Iterator[Api]:
    """The API as granian runs it."""
    port = free_port()
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--port", str(port), "--factory"]
    command += ["--workers", "1", "--blocking-threads", str(server_threads(PLACES)), "app.factory:create_app"]
    process = ServerProcess("api", command, tmp_path / "api.log")
    environment = os.environ | {
        "ENV_FILE": "",
        "DATABASE_URL": database_url,
        "BROKER_URL": broker.url,
        "CACHE_URL": cache.url,
        "HTTP__THREADS": str(PLACES),
        "HTTP__IP_LIMIT": "1000000 per minute",
        "HTTP__KEY_LIMIT": "1000000 per minute",
    }
    process.start(environment=environment, cwd=ROOT)
    api = Api(f"http://127.0.0.1:{port}")
    try:
        process.wait_ready(lambda: _answers(api), 60)
        api.token = _token(engine, api)
        yield api
    finally:
        process.kill()


def _answers(api: Api) -> bool:
    try:
        return api.health("live") == 200
    except requests.ConnectionError:
        return False


def _token(engine: Engine, api: Api) -> str:
    passwords = Passwords(time_cost=1, memory_kib=1024, parallelism=1, at_once=1)
    with Session(engine) as session:
        scopes = ["jobs:read", "jobs:write"]
        create_user(
            session,
            passwords=passwords,
            login="alice",
            password=PASSWORD,
            scopes=scopes,
            origin=Origin("t"),
            now=utc_now(),
        )
        session.commit()
    answer = requests.post(f"{api.url}/v1/auth/login", json={"login": "alice", "password": PASSWORD}, timeout=60)
    return str(answer.json()["access_token"])


def test_a_burst_far_above_capacity_is_shed_and_nothing_accepted_is_lost(api: Api, engine: Engine) -> None:
    keys = {f"burst-{number}" for number in range(CLIENTS)}
    with ThreadPoolExecutor(CLIENTS) as clients, engine.connect() as blocker:
        # Every submission that has a place waits here, so that the places stay taken until we let go.
        blocker.execute(text("LOCK TABLE job_keys IN EXCLUSIVE MODE"))
        waiting = {clients.submit(api.submit, key) for key in keys}
        refused = wait_for(waiting, CLIENTS - PLACES)
        assert [fault for answer in refused for fault in shed_faults(answer)] == []
        assert (api.health("live"), api.health("ready")) == (200, 200)
        blocker.rollback()
        accepted = [future.result() for future in waiting]
        assert [answer.status_code for answer in accepted] == [202] * PLACES

        # The refused come back, all at once, until each has been accepted.
        left = keys - {key_of(answer) for answer in accepted}
        while left:
            answers = list(clients.map(api.submit, sorted(left)))
            assert [fault for answer in answers if answer.status_code != 202 for fault in shed_faults(answer)] == []
            new = [answer for answer in answers if answer.status_code == 202]
            assert new, "no progress"
            accepted += new
            left -= {key_of(answer) for answer in new}
    with engine.connect() as connection:
        kept = connection.scalars(text("SELECT CAST(id AS text) FROM jobs")).all()
    assert sorted(kept) == sorted(answer.json()["id"] for answer in accepted)
    assert len(kept) == CLIENTS


def wait_for(waiting: set[Future[requests.Response]], count: int) -> list[requests.Response]:
    """Take the first `count` answers out of `waiting`."""
    answers: list[requests.Response] = []
    while len(answers) < count:
        done, _ = wait(waiting, timeout=60, return_when=FIRST_COMPLETED)
        assert done, f"only {len(answers)} of {count} were answered"
        waiting -= done
        answers += [future.result() for future in done]
    return answers


def key_of(answer: requests.Response) -> str:
    """The Idempotency-Key that a request carried."""
    return str(answer.request.headers["Idempotency-Key"])


def shed_faults(answer: requests.Response) -> list[str]:
    """What is wrong with a refusal."""
    checks = {
        "status": answer.status_code == 503,
        "media type": answer.headers["Content-Type"] == "application/problem+json",
        "Retry-After": answer.headers.get("Retry-After", "") in ("1", "2", "3"),
        "code": answer.json()["code"] == "core.overloaded",
        "request id": answer.json()["request_id"] == answer.headers["X-Request-ID"],
    }
    return [f"{name} of {answer.status_code} {answer.text}" for name, good in checks.items() if not good]
