"""What a benchmark stands on: servers of its own, freshly started, and processes of ours and of the baselines."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol, get_args

import psycopg2
from redis import Redis
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

import migrations
from app.ops.adapters import probes
from app.ops.adapters.embedded_postgres import EmbeddedPostgres
from app.ops.adapters.embedded_valkey import EmbeddedValkey, Role
from app.ops.adapters.process import ServerProcess, free_port

ROOT = Path(__file__).resolve().parent.parent
OURS, PLAIN = "ours", "plain"
THREADS = 16
API_PROCESSES = 2
START_SECONDS = 120.0
NO_LIMIT = "1000000000 per minute"


class Server(Protocol):
    """An embedded server."""

    def start(self) -> None:
        """Start, and wait until it answers."""

    def stop(self) -> None:
        """Stop."""


@dataclass
class Stand:
    """Servers, two databases with the same tables, and what runs on them."""

    folder: Path
    postgres: EmbeddedPostgres
    broker: EmbeddedValkey
    cache: EmbeddedValkey
    processes: list[ServerProcess] = field(default_factory=list)

    @property
    def redis(self) -> Redis:
        """A client of the broker."""
        return Redis.from_url(self.broker.url)

    def make_database(self, name: str) -> None:
        """A database with our tables, indexes and triggers; the baselines' is one too."""
        admin = create_engine(self.postgres.url(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        admin.dispose()
        migrations.upgrade(self.postgres.url(name))

    def empty_database(self, name: str) -> str:
        """A database with nothing in it, in place of one that was there; its address in libpq's own form."""
        admin = create_engine(self.postgres.url(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
            connection.execute(text(f"CREATE DATABASE {name}"))
        return self.postgres.url(name).replace("+psycopg2", "")

    def count(self, database: str, table: str) -> int:
        """How many rows a table has."""
        engine = create_engine(self.postgres.url(database), poolclass=NullPool)
        with engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608 - our own

    def engine(self, database: str) -> Engine:
        """An engine for the benchmark's own looks: without our limits on what a statement may take."""
        return create_engine(self.postgres.url(database), pool_size=2)

    def work_url(self) -> str:
        """The baselines' database in libpq's own form."""
        return self.postgres.url(PLAIN).replace("+psycopg2", "")

    def sql(self, database: str, statement: str) -> None:
        """One statement, committed."""
        with psycopg2.connect(self.postgres.url(database).replace("+psycopg2", "")) as connection:
            connection.cursor().execute(statement)
        connection.close()

    def start(self, name: str, command: Sequence[str], **variables: str) -> ServerProcess:
        """Start a process of ours or of a baseline; its log lies in the stand's folder."""
        environment = os.environ | {
            "ENV_FILE": "",  # nobody's own settings
            "DATABASE_URL": self.postgres.url(OURS),
            "BROKER_URL": self.broker.url,
            "CACHE_URL": self.cache.url,
            "WORK_URL": self.work_url(),
            "HTTP__THREADS": str(THREADS),
            "HTTP__IP_LIMIT": NO_LIMIT,
            "HTTP__KEY_LIMIT": NO_LIMIT,
            **variables,
        }
        process = ServerProcess(name, command, self.folder / f"{name}.log")
        process.start(environment=environment, cwd=ROOT)
        self.processes.append(process)
        return process

    def start_api(self, name: str, target: str, **variables: str) -> tuple[ServerProcess, int]:
        """A WSGI app under granian, the same for everybody; returns the process and its port."""
        port = free_port()
        metrics = self.folder / f"metrics-{name}"
        metrics.mkdir()
        command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--factory", "--workers", str(API_PROCESSES), "--blocking-threads", str(THREADS), target]
        process = self.start(name, command, PROMETHEUS_MULTIPROC_DIR=str(metrics), **variables)
        process.wait_ready(partial(probes.http_answers, f"http://127.0.0.1:{port}/health/live"), START_SECONDS)
        return process, port

    def start_worker(self, name: str, app: str, queues: str, *options: str) -> ServerProcess:
        """A Celery worker that answers."""
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-n", f"{name}@%h", "-Q", queues]
        process = self.start(name, [*command, "--without-gossip", "--without-mingle", *options])
        process.wait_ready(partial(probes.worker_answers, self.broker.url, name), START_SECONDS)
        return process

    def start_dispatcher(self) -> ServerProcess:
        """Our dispatcher, its first round done."""
        process = self.start("dispatcher", [sys.executable, "-m", "bench.ours.dispatcher"])
        process.wait_ready(
            lambda: process.log is not None and "dispatcher_started" in process.log.read_text(), START_SECONDS
        )
        return process

    def end(self, *processes: ServerProcess) -> None:
        """Kill processes with their children: nothing of them is needed any more."""
        for process in processes:
            process.kill()
            self.processes.remove(process)


@contextmanager
def paused(process: ServerProcess) -> Iterator[None]:
    """Stop a process, not its children, while the block runs."""
    assert process.pid is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def wait_until(there: Callable[[], bool], seconds: float, pause: float = 0.005) -> None:
    """Poll until true; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not done within {seconds:.0f} s")
        time.sleep(pause)


@contextmanager
def standing(run_folder: Path) -> Iterator[Stand]:
    """Servers in a folder of their own under `run_folder`, gone afterwards. Postgres is as it comes: durable."""
    run_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=run_folder))
    postgres = EmbeddedPostgres(folder / "postgres", free_port(), secrets.token_hex(8), folder / "postgres.log")
    broker, cache = (
        EmbeddedValkey(role, folder / role, free_port(), secrets.token_hex(8), folder / f"{role}.log", "1gb")
        for role in get_args(Role)
    )
    stand = Stand(folder, postgres, broker, cache)
    servers: tuple[Server, ...] = (postgres, broker, cache)
    try:
        for server in servers:
            server.start()
        for database in (OURS, PLAIN):
            stand.make_database(database)
        yield stand
    finally:
        for process in stand.processes:
            process.kill()
        for server in reversed(servers):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
