"""Plain Celery as a project runs it: Postgres, a Redis, the API with its route, workers and beat; all to be struck."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import requests
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from app.ops.adapters.embedded_postgres import EmbeddedPostgres
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.probes import http_answers
from app.ops.adapters.process import ServerProcess, free_port
from bench.baselines.plain_celery import make_tables

ROOT = Path(__file__).resolve().parents[3]
CELERY = (sys.executable, "-m", "celery", "-A", "bench.baselines.plain_celery")
VISIBILITY_SECONDS = 8
COUNTS = text(
    """
    SELECT (SELECT count(*) FROM plain_jobs) AS accepted,
           (SELECT count(*) FROM plain_jobs j WHERE NOT die AND NOT EXISTS (
               SELECT FROM plain_effects e WHERE e.job_id = j.id)) AS missing,
           (SELECT count(*) - count(DISTINCT job_id) FROM plain_effects) AS doubled,
           (SELECT count(*) - count(DISTINCT job_id) FROM plain_bodies) AS repeated,
           (SELECT count(*) FROM plain_bodies) AS begun,
           (SELECT count(*) FROM plain_ticks) AS ticks
    """
)


@dataclass
class Ground:
    """One form of plain Celery on servers of its own; processes that die are started again, as by an init system."""

    folder: Path
    profile: str
    processes: dict[str, ServerProcess] = field(default_factory=dict)
    struck_at: float = 0.0
    slots: int = 0
    refused: int = 0

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        password = secrets.token_hex(8)
        self.postgres = EmbeddedPostgres(self.folder / "pg", free_port(), password, self.folder / "pg.log")
        self.redis = EmbeddedValkey("broker", self.folder / "broker", free_port(), password, self.folder / "broker.log")
        self.postgres.start()
        self.redis.start()
        self.engine: Engine = create_engine(self.postgres.url(), pool_pre_ping=True)
        with self.engine.begin() as connection:
            make_tables(connection)
        self.port = free_port()
        self.environment = os.environ | {
            "DATABASE_URL": self.postgres.url(),
            "BROKER_URL": self.redis.url,
            "PLAIN_PROFILE": self.profile,
            "PLAIN_VISIBILITY_SECONDS": str(VISIBILITY_SECONDS),
            "PLAIN_DIES_ONCE": str(self.folder / "died"),
        }

    def clear(self) -> None:
        """Nothing runs, and everything is empty."""
        for name in list(self.processes):
            self.processes.pop(name).kill()
        for file in self.folder.glob("*.schedule*"):
            file.unlink()
        with self.engine.begin() as connection:
            connection.execute(text("TRUNCATE plain_jobs, plain_bodies, plain_effects, plain_ticks"))
        with self.broker() as redis:
            redis.flushall()
        self.slots = self.refused = 0

    def start(self, name: str, *command: str) -> ServerProcess:
        """Start a process of the plain application."""
        process = ServerProcess(name, command, self.folder / f"{name}.log")
        process.start(environment=self.environment, cwd=ROOT)
        self.processes[name] = process
        return process

    def start_worker(self, name: str = "worker") -> None:
        """A prefork worker with two children."""
        self.start(name, *CELERY, "worker", "-n", f"{name}@%h", "-c", "2", "-l", "warning")

    def start_beat(self, name: str = "beat") -> None:
        """Celery's own scheduler, its file kept between restarts."""
        file = str(self.folder / f"{name}.schedule")
        self.start(name, *CELERY, "beat", "-s", file, "--pidfile=", "-l", "warning")

    def start_api(self, app: str = "bench.baselines.plain_api:create_app") -> None:
        """The route, served as ours is; a worker process of it that dies is replaced."""
        command = (sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1")
        command += ("--port", str(self.port), "--factory", "--respawn-failed-workers", "--no-log", app)
        self.start("api", *command).wait_ready(lambda: http_answers(f"{self.url}/nowhere"))

    def revive(self) -> None:
        """Start again what has ended by itself or was killed."""
        for name, process in list(self.processes.items()):
            if process.poll() is not None:
                self.start(name, *process.command)

    def strikes(self) -> None:
        """The fault is now: recovery counts from here."""
        self.struck_at = time.monotonic()

    @property
    def url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self.port}"

    def broker(self) -> Redis:
        """A client of the broker."""
        return Redis.from_url(self.redis.url)

    def submit(self, count: int, **body: Any) -> None:
        """Post jobs as a client does, again while there is no answer; an answer of 500 is taken for one."""
        for _ in range(count):
            status = None
            while status is None:
                with suppress(requests.RequestException):
                    status = requests.post(f"{self.url}/jobs", json=body, timeout=30).status_code
            self.refused += status != 202

    def counts(self) -> Any:
        """What the tables say now."""
        with self.engine.connect() as connection:
            return connection.execute(COUNTS).one()

    def wait_for(self, condition: Callable[[Any], bool], seconds: float) -> None:
        """Poll the tables until the condition holds; raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(OperationalError):
                if condition(self.counts()):
                    return
            time.sleep(0.1)
        raise TimeoutError("plain Celery did not do it: " + str(self.folder))

    def settle(self, longest_task: float = 0.0) -> bool:
        """Wait until every accepted job has its effect; false when nothing has moved for so long that nothing will.

        What a dead worker had taken comes back to a hardened one after the visibility timeout, to the defaults after
        an hour. When Redis holds no message, nothing comes any more; while it holds some, a worker may be starting.
        """
        left, moved_at, patience = None, time.monotonic(), 30.0
        while left != 0 and time.monotonic() < moved_at + longest_task + patience:
            self.revive()
            with suppress(OperationalError, RedisError):
                missing = self.counts().missing
                if missing != left:
                    left, moved_at = missing, time.monotonic()
                patience = self.patience()
            time.sleep(0.1)
        return left == 0

    def patience(self) -> float:
        """How many seconds without a change may be a mere delay."""
        queued, held = self.messages()
        if queued:
            return 30.0
        return (VISIBILITY_SECONDS + 5.0 if self.profile == "hardened" else 4.0) if held else 2.0

    def drain(self, seconds: float) -> None:
        """Wait until Redis holds no message: late repetitions have happened then."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(self.messages()):
            time.sleep(0.2)

    def messages(self) -> tuple[int, int]:
        """Messages in the queue, and in workers' hands."""
        with self.broker() as redis:
            return int(redis.llen("celery")), int(redis.hlen("unacked"))

    def count_ticks(self, *, outage: float, seconds: float) -> None:
        """Let beats of one tick a second live so long, the one named `beat` dead for `outage` seconds in between."""
        self.wait_for(lambda counts: counts.ticks >= 3, 60)
        with self.engine.begin() as connection:
            connection.execute(text("TRUNCATE plain_ticks"))
        began = time.monotonic()
        if outage:
            self.processes["beat"].kill()
            time.sleep(outage)
            fired = self.counts().ticks
            self.revive()
            self.wait_for(lambda counts: counts.ticks > fired, 60)
        time.sleep(seconds)
        self.slots = round(time.monotonic() - began)

    def close(self) -> None:
        """End everything."""
        for process in self.processes.values():
            process.kill()
        self.engine.dispose()
        self.redis.stop()
        self.postgres.stop()


def kill_tree(process: ServerProcess) -> None:
    """SIGKILL to a worker and its pool's children, as a machine's death would."""
    assert process.pid is not None
    for child in psutil.Process(process.pid).children(recursive=True):
        os.kill(child.pid, signal.SIGKILL)
    process.kill()
