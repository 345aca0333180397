"""What is struck: servers of our own, built once, and the processes on them, each under a keeper.

A process is restarted only for another environment; what merely died is alive again at once.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psutil
from redis import Redis
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError

import migrations
from app.core.events import STREAM
from app.ops.adapters.embedded_postgres import EmbeddedPostgres
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.probes import http_answers, worker_answers
from app.ops.adapters.process import ServerProcess, free_port
from tests.faults import deaths, kinds

ROOT = Path(__file__).resolve().parent.parent.parent
LEASE_SECONDS, MAINTENANCE_SECONDS = 2.0, 0.2
Cast = Mapping[str, Mapping[str, str]]
"""Who runs: `worker`, `worker-2`, `dispatcher`, ... each with what its environment has beside the common one."""

TABLES = "jobs, jobs_archive, job_keys, effects, job_callbacks, outbox, schedules, schedule_slots, bodies, writes"


class TookTooLong(AssertionError):
    """What was waited for did not come."""


def group_of(process: ServerProcess) -> int:
    """The group of a process and its children; raises ProcessLookupError for one that was never started."""
    if process.pid is None:  # zero would be our own group
        raise ProcessLookupError(process.name)
    return process.pid


@dataclass
class Ground:
    """Postgres, broker, cache, and the processes that run on them."""

    folder: Path
    postgres: EmbeddedPostgres
    broker: EmbeddedValkey
    cache: EmbeddedValkey
    environment: dict[str, str]
    deaths: deaths.Deaths
    url: str
    processes: dict[str, ServerProcess] = field(default_factory=dict)
    _cast: dict[str, Mapping[str, str]] = field(default_factory=dict)

    @cached_property
    def _engine(self) -> Engine:
        """For the harness's own looks at the tables, from two threads, whatever became of Postgres since the last."""
        return create_engine(self.postgres.url(), pool_size=2, pool_pre_ping=True)

    def sql(self, statement: str, **values: Any) -> Any:
        """Run a statement, commit, and give all rows; once more when the connection turns out to be dead."""
        try:
            return self._sql(statement, values)
        except OperationalError as error:  # a crashed server's last child may answer the pool's ping, and then die
            if not error.connection_invalidated:
                raise
            return self._sql(statement, values)

    def _sql(self, statement: str, values: Mapping[str, Any]) -> Any:
        with self._engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return result.all() if result.returns_rows else []

    def count(self, what: str) -> int:
        """`SELECT count(*) FROM ...`."""
        rows = self.sql(f"SELECT count(*) FROM {what}")  # noqa: S608 - our own words
        return int(rows[0][0]) if rows else 0

    def events(self) -> int:
        """How many events are in the stream."""
        with Redis.from_url(self.broker.url) as client:
            return int(client.xlen(STREAM))

    def clear(self) -> None:
        """Empty tables and an empty stream; accounts stay. What runs may hold a lock for a moment."""
        for left in (3, 2, 1, 0):
            try:
                self.sql(f"TRUNCATE {TABLES} CASCADE")
                break
            except DBAPIError:
                if not left:
                    raise
        with Redis.from_url(self.broker.url) as client:
            client.delete(STREAM)

    def stage(self, cast: Cast) -> None:
        """Let exactly these run, each answering; one with another environment, or dead, is started afresh."""
        for name in [name for name in self.processes if self._cast[name] != cast.get(name) or not self.runs(name)]:
            self.kill(name)
        for name in [name for name in cast if name not in self.processes]:
            self.start(name, cast[name])
        for name in cast:
            self.wait_for(lambda name=name: self.answers(name), 60, f"{name} answers")

    def start(self, name: str, extra: Mapping[str, str] = MappingProxyType({})) -> None:
        """Start a role under its keeper; returns at once."""
        role = name.split("-")[0]
        options = {"api": [self.url.rsplit(":", 1)[1]], "worker": [name, extra.get("CONCURRENCY", "2")]}.get(role, [])
        command = [sys.executable, "-m", "tests.faults.keeper", role, *options]
        number = len(list((self.folder / "logs").glob(f"{name}.*")))
        process = ServerProcess(name, command, self.folder / "logs" / f"{name}.{number}.log")
        process.start(environment=self.environment | dict(extra) | {deaths.NAME: name}, cwd=ROOT)
        self.processes[name] = process
        self._cast[name] = extra

    def answers(self, name: str) -> bool:
        """True when the role can do its work."""
        role = name.split("-")[0]
        if role == "api":
            return http_answers(f"{self.url}/health/live")
        if role == "worker":
            return worker_answers(self.broker.url, name)
        return role == "beat" or "dispatcher_started" in self.log(name)

    def log(self, name: str) -> str:
        """What a process has written since it was started."""
        file = self.processes[name].log
        return file.read_text(errors="replace") if file and file.exists() else ""

    def runs(self, name: str) -> bool:
        """True while its keeper lives."""
        return self.processes[name].poll() is None

    def born(self, name: str) -> psutil.Process | None:
        """The process itself, below its keeper; None in the moment between death and birth."""
        with contextlib.suppress(psutil.NoSuchProcess):
            children = psutil.Process(self.processes[name].pid).children()
            return children[0] if children else None
        return None

    def strike(self, name: str) -> None:
        """SIGKILL to the role and its children; its keeper gives birth to the next one."""
        victim = self.born(name)
        if victim is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in (victim, *victim.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def kill(self, name: str) -> None:
        """SIGKILL to the keeper and everything of its session."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group_of(process), signal.SIGKILL)
        process.kill()

    def pause(self, name: str) -> None:
        """SIGSTOP to everything of a role."""
        os.killpg(group_of(self.processes[name]), signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """SIGCONT to everything of a role."""
        os.killpg(group_of(self.processes[name]), signal.SIGCONT)

    def disarm(self) -> None:
        """Forget the ordered deaths; what took one and lives on is born again without."""
        survivors = self.deaths.survivors()
        self.deaths.clear()
        for name in survivors & set(self.processes):
            self.strike(name)

    def wait_for(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Poll until true; raises TookTooLong with what the processes said last."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                said = "\n".join(f"{name}: {process.last_words(4)}" for name, process in self.processes.items())
                raise TookTooLong(f"{what}: not within {seconds:.0f} s\n{said}")
            time.sleep(0.05)

    def close(self) -> None:
        """End everything, ours first."""
        for name in list(self.processes):
            self.kill(name)
        self._engine.dispose()
        self.cache.stop()
        self.broker.stop()
        self.postgres.stop()


@contextlib.contextmanager
def build(folder: Path, outside_url: str = "") -> Iterator[Ground]:
    """Servers in `folder`, migrated, with nothing of ours running yet."""
    # fsync guards against power cuts, which nobody makes here; a killed server keeps what it committed either way.
    postgres = EmbeddedPostgres(
        folder / "pg", free_port(), secrets.token_hex(8), folder / "pg.log", extra=("fsync = off",)
    )
    postgres.start()
    broker = EmbeddedValkey("broker", folder / "broker", free_port(), secrets.token_hex(8), folder / "broker.log")
    broker.start()
    cache = EmbeddedValkey("cache", folder / "cache", free_port(), secrets.token_hex(8), folder / "cache.log")
    cache.start()
    migrations.upgrade(postgres.url())
    url = f"http://127.0.0.1:{free_port()}"
    environment = os.environ | common_environment(postgres, broker, cache, folder, outside_url)
    ground = Ground(folder, postgres, broker, cache, environment, deaths.Deaths(folder / "deaths"), url)
    for table in kinds.TABLES:
        ground.sql(table)
    try:
        yield ground
    finally:
        ground.close()


def common_environment(
    postgres: EmbeddedPostgres, broker: EmbeddedValkey, cache: EmbeddedValkey, folder: Path, outside_url: str
) -> dict[str, str]:
    """What every process is told: short leases, so that recovery is soon, cheap passwords, no limits on the clients."""
    return {
        "ENV_FILE": "",
        "DATABASE_URL": postgres.url(),
        "BROKER_URL": broker.url,
        "CACHE_URL": cache.url,
        "JOBS__LEASE_SECONDS": str(LEASE_SECONDS),
        "JOBS__MAINTENANCE_SECONDS": str(MAINTENANCE_SECONDS),
        "JOBS__RESEND_AFTER_SECONDS": "0.5",
        "JOBS__CALLBACK_ALLOW_PRIVATE": "true",
        "HTTP__IP_LIMIT": "1000000 per minute",
        "HTTP__KEY_LIMIT": "1000000 per minute",
        "ACCOUNTS__ACCESS_TOKEN_SECONDS": "7200",
        "ACCOUNTS__PASSWORD_TIME_COST": "1",
        "ACCOUNTS__PASSWORD_MEMORY_KIB": "64",
        "ACCOUNTS__PASSWORD_PARALLELISM": "1",
        "REMAP_SIGTERM": "SIGQUIT",
        deaths.FOLDER: str(folder / "deaths"),
        kinds.OUTSIDE: outside_url,
    }
