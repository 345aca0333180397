"""Real servers for each process of a run, and for each test that asks a database cloned from a migrated template."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

import migrations
from app.core.db import make_engine
from app.factory import create_app
from app.ops.adapters.embedded_anvil import EmbeddedAnvil, install_anvil
from app.ops.adapters.embedded_postgres import EmbeddedPostgres
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import free_port
from config.groups import AccountsSettings, HttpSettings
from config.settings import Settings

ROOT = Path(__file__).resolve().parent.parent

# Nothing here is a timed test: the machine may be shared.
hypothesis_settings.register_profile("untimed", deadline=None)
hypothesis_settings.load_profile("untimed")


MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of a random name is made in it
FOLDERS = "watchkeeper-test-process-"
MEMORY_BYTES = 2 * 2**30
"""Several times what a run's databases need at once."""

# fsync guards against power cuts, which no test makes; a killed server keeps what it committed either way.
QUICK = ("fsync = off", "max_wal_size = 256MB")


@pytest.fixture(scope="session")
def memory_folder() -> Iterator[Path]:
    """A folder in memory where that has room, for a database is made there in a fraction of the time; else on disk.

    Its name holds our process id: what a killed run left in memory goes at the next start, and its server with it.
    """
    for left in MEMORY.glob(f"{FOLDERS}*-*"):
        if not psutil.pid_exists(int(left.name.removeprefix(FOLDERS).partition("-")[0])):
            shutil.rmtree(left, ignore_errors=True)
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES
    with TemporaryDirectory(prefix=f"{FOLDERS}{os.getpid()}-", dir=MEMORY if roomy else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def postgres(memory_folder: Path) -> Iterator[EmbeddedPostgres]:
    """One Postgres for this process's tests, with a migrated database named `template_wk`."""
    folder = memory_folder / "postgres"
    server = EmbeddedPostgres(folder, free_port(), secrets.token_hex(8), memory_folder / "postgres.log", extra=QUICK)
    server.start()
    try:
        _admin(server, "CREATE DATABASE template_wk")
        migrations.upgrade(server.url("template_wk"))
        yield server
    finally:
        server.stop()


def _admin(server: EmbeddedPostgres, statement: str) -> None:
    engine = create_engine(server.url(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@contextmanager
def fresh_database(server: EmbeddedPostgres) -> Iterator[str]:
    """The URL of a database of one's own, migrated and empty."""
    name = f"t_{secrets.token_hex(6)}"
    _admin(server, f"CREATE DATABASE {name} TEMPLATE template_wk STRATEGY file_copy")  # half the time of a logged copy
    yield server.url(name)
    _admin(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database of this test's own."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture(scope="module")
def shared_settings(postgres: EmbeddedPostgres, cache: EmbeddedValkey, broker: EmbeddedValkey) -> Iterator[Settings]:
    """Settings of a database that a module's tests share: for those that only ask, or are refused."""
    with fresh_database(postgres) as url:
        yield settings_of(url, cache, broker, HttpSettings(ip_limit="1000000 per minute"))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on the test's own database."""
    engine = make_engine(database_url, pool_size=5)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session on the test's own database; the test commits."""
    with Session(engine) as session:
        yield session


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """The broker for this process's tests; a test that breaks it starts its own."""
    folder = tmp_path_factory.mktemp("broker")
    server = EmbeddedValkey("broker", folder, free_port(), secrets.token_hex(8), folder / "log")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """The cache for this process's tests."""
    folder = tmp_path_factory.mktemp("cache")
    server = EmbeddedValkey("cache", folder, free_port(), secrets.token_hex(8), folder / "log")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(database_url: str, cache: EmbeddedValkey, broker: EmbeddedValkey) -> Settings:
    """Settings of this test's own database, and an empty cache."""
    with Redis.from_url(cache.url) as client:
        client.flushall()
    return settings_of(database_url, cache, broker, HttpSettings())


def settings_of(database_url: str, cache: EmbeddedValkey, broker: EmbeddedValkey, http: HttpSettings) -> Settings:
    """Settings of these servers; passwords are cheap to hash here, and only here."""
    return Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        cache_url=SecretStr(cache.url),
        broker_url=SecretStr(broker.url),
        http=http,
        accounts=AccountsSettings(password_time_cost=1, password_memory_kib=64, password_parallelism=1),
    )


@pytest.fixture
def make_app(settings: Settings) -> Iterator[Callable[..., Flask]]:
    """Builds apps, with changed settings or fakes where a test asks, and gives their connections back."""
    with app_maker(settings) as make:
        yield make


@contextmanager
def app_maker(settings: Settings) -> Iterator[Callable[..., Flask]]:
    """What `make_app` gives, for fixtures of another scope."""
    made: list[Flask] = []

    def make(changed: Settings | None = None, **fakes: Any) -> Flask:
        made.append(create_app(changed or settings, **fakes))
        return made[-1]

    yield make
    for app in made:
        with app.app_context():
            app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """The whole API on the test's own database."""
    return make_app()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A client of the whole API."""
    return app.test_client()


@pytest.fixture(scope="session")
def anvil_binary() -> Path:
    """The EVM node's binary, installed once under `.run/node`."""
    return install_anvil(ROOT / ".run" / "node")


@pytest.fixture
def anvil(anvil_binary: Path, tmp_path: Path) -> Iterator[EmbeddedAnvil]:
    """A fresh chain that mines a block for each transaction."""
    node = EmbeddedAnvil(anvil_binary, free_port(), tmp_path / "anvil.log", block_seconds=None)
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="module")
def whole_stack_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One whole stack at a time in a parallel run: with its dozen processes it fills a small machine."""
    with (tmp_path_factory.getbasetemp().parent / "whole-stack.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
