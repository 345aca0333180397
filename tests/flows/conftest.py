"""The system as it runs: real processes on real servers of the test's own, to kill, stop and restart."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, text

import migrations
from app.core.db import make_engine
from app.ops.adapters.embedded_postgres import EmbeddedPostgres
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import ServerProcess, free_port

ROOT = Path(__file__).resolve().parent.parent.parent
CELERY = (sys.executable, "-m", "celery", "-A", "tests.flows.worker_app")


@dataclass
class System:
    """Postgres, broker, cache, and the processes a test started on them."""

    folder: Path
    postgres: EmbeddedPostgres
    broker: EmbeddedValkey
    cache: EmbeddedValkey
    environment: dict[str, str]
    processes: list[ServerProcess] = field(default_factory=list)

    @property
    def engine(self) -> Engine:
        """An engine for the test's own looks at the tables."""
        return make_engine(self.postgres.url(), pool_size=5)

    def sql(self, statement: str, **values: Any) -> Any:
        """Run a statement, commit, and give all rows."""
        engine = self.engine
        with engine.begin() as connection:
            result = connection.execute(text(statement), values)
            rows = result.all() if result.returns_rows else []
        engine.dispose()
        return rows

    def start(self, name: str, *command: str) -> ServerProcess:
        """Start one of ours, its output in a log of the test's folder."""
        process = ServerProcess(name, command, self.folder / f"{name}.log")
        process.start(environment=self.environment, cwd=ROOT)
        self.processes.append(process)
        return process

    def start_worker(self, name: str = "worker", *, concurrency: int = 2) -> ServerProcess:
        """A prefork worker on every queue."""
        queues = "default,bulk,chain,oracle,perps,liquidation"
        options = ("-n", f"{name}@%h", "-Q", queues, "-c", str(concurrency), "--without-gossip", "--without-mingle")
        return self.start(name, *CELERY, "worker", *options)

    def start_dispatcher(self, name: str = "dispatcher") -> ServerProcess:
        """A dispatcher with the test kinds on its menu."""
        return self.start(name, sys.executable, "-m", "tests.flows.dispatcher")

    def wait_for(self, condition: Callable[[], bool], seconds: float = 90.0) -> None:
        """Poll until true; a failure shows what the processes said last."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                said = "\n".join(f"{process.name}: {process.last_words(5)}" for process in self.processes)
                pytest.fail(f"it did not happen within {seconds:.0f} s\n{said}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End everything, ours first."""
        for process in self.processes:
            process.kill()
        self.cache.stop()
        self.broker.stop()
        self.postgres.stop()


def kill_tree(process: ServerProcess) -> None:
    """SIGKILL to a worker and its pool children, as a machine's death would."""
    assert process.pid is not None
    for child in psutil.Process(process.pid).children(recursive=True):
        os.kill(child.pid, signal.SIGKILL)
    process.kill()


@pytest.fixture(scope="session")
def migrated(memory_folder: Path) -> EmbeddedPostgres:
    """A cluster that is migrated and stopped, to copy: making one takes ten times as long."""
    folder = memory_folder / "migrated"
    server = EmbeddedPostgres(folder, free_port(), secrets.token_hex(8), memory_folder / "migrated.log")
    server.start()
    migrations.upgrade(server.url())
    server.stop()
    return server


@pytest.fixture
def system(tmp_path: Path, migrated: EmbeddedPostgres) -> Iterator[System]:
    """A system of the test's own, migrated, with nothing of ours running yet."""
    postgres = EmbeddedPostgres(tmp_path / "pg", free_port(), migrated.password, tmp_path / "pg.log")
    shutil.copytree(migrated.data, postgres.data)
    postgres.start()
    broker = EmbeddedValkey("broker", tmp_path / "broker", free_port(), secrets.token_hex(8), tmp_path / "broker.log")
    broker.start()
    cache = EmbeddedValkey("cache", tmp_path / "cache", free_port(), secrets.token_hex(8), tmp_path / "cache.log")
    cache.start()
    environment = os.environ | {
        "DATABASE_URL": postgres.url(),
        "BROKER_URL": broker.url,
        "CACHE_URL": cache.url,
        "JOBS__LEASE_SECONDS": "2",
        "JOBS__MAINTENANCE_SECONDS": "0.2",
        "JOBS__RESEND_AFTER_SECONDS": "0.5",
        "REMAP_SIGTERM": "SIGQUIT",
    }
    system = System(tmp_path, postgres, broker, cache, environment)
    yield system
    system.stop()
