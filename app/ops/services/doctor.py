"""`manage.py doctor`: what this machine has and lacks, each failure with its way out."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.core.redis import make_redis
from app.ops.adapters import embedded_anvil, process_table
from app.ops.adapters.run_folder import RunFolder
from app.ops.errors import DatabaseUnreachable, OpsError
from app.ops.services.database import wait_for_database
from app.ops.services.environment import is_given, read_settings
from app.ops.services.ports import public_port
from app.ops.services.revisions import revisions
from app.ops.services.stack import embedded_servers
from config.settings import Settings

OLDEST, NEWEST = (3, 11), (3, 13)
NEEDED_BYTES = 2 * 10**9
NPM_SECONDS = 20.0


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    name: str
    ok: bool
    text: str


def examine(root: Path, run: RunFolder) -> Iterator[Finding]:
    """Every check, one after the other; what cannot be looked at because of an earlier failure is left out."""
    yield _python()
    yield _disk(root)
    yield _run_folder(run)
    try:
        settings = read_settings(root)
    except OpsError as error:
        yield Finding("settings", False, error.detail)
        return
    yield Finding("settings", True, f"valid, environment {settings.environment}")
    running = run.running_stack() is not None
    yield Finding("stack", True, "runs" if running else "does not run; `make up` starts it")
    if not running:
        yield from _ports(settings)
    if "anvil" in embedded_servers(settings):
        yield _anvil(run)
    yield from _servers(settings, running)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = OLDEST <= sys.version_info[:2] <= NEWEST
    return Finding("python", ok, version if ok else f"{version}: install 3.11, 3.12 or 3.13, then `make clean install`")


def _disk(root: Path) -> Finding:
    free = shutil.disk_usage(root).free
    ok = free >= NEEDED_BYTES
    return Finding("disk", ok, f"{free / 1e9:.1f} GB free" + ("" if ok else "; 2 GB are needed: make room"))


def _run_folder(run: RunFolder) -> Finding:
    try:
        run.open()
        left = [] if run.running_stack() else process_table.started_for(run.path)
    except OpsError as error:
        return Finding("run folder", False, error.detail)
    if left:
        return Finding("run folder", False, f"a killed run left {len(left)} processes: `make up` stops them first")
    return Finding("run folder", True, str(run.path))


def _ports(settings: Settings) -> Iterator[Finding]:
    wanted: tuple[tuple[str, Callable[[], int]], ...] = (
        ("port API", lambda: public_port("the API", "HTTP__PORT", settings.http.port, settings.http.host)),
        ("port stream", lambda: public_port("the stream", "STREAM__PORT", settings.stream.port, settings.stream.host)),
        ("port Flower", lambda: public_port("Flower", "FLOWER__PORT", settings.flower.port, settings.flower.host)),
    )
    for name, check in wanted:
        try:
            yield Finding(name, True, f"{check()} is free")
        except OpsError as error:
            yield Finding(name, False, error.detail)


def _anvil(run: RunFolder) -> Finding:
    try:
        if embedded_anvil.anvil_binary(run.node).exists():
            return Finding("anvil", True, "installed")
        ping = subprocess.run(  # noqa: S603 - our own command line
            embedded_anvil.npm_command("ping"), capture_output=True, timeout=NPM_SECONDS, check=False
        )
    except OpsError as error:
        return Finding("anvil", False, error.detail)
    except subprocess.TimeoutExpired:
        return Finding("anvil", False, embedded_anvil.WAY_OUT)
    if ping.returncode != 0:
        return Finding("anvil", False, embedded_anvil.WAY_OUT)
    return Finding("anvil", True, "not installed yet; the npm registry answers")


def _servers(settings: Settings, running: bool) -> Iterator[Finding]:
    if running or is_given(settings, "DATABASE_URL"):
        yield from _database(settings.database_url.get_secret_value())
    for name, url in (("broker", settings.broker_url), ("cache", settings.cache_url)):
        if running or is_given(settings, f"{name.upper()}_URL"):
            yield _redis(name, url.get_secret_value())


def _database(url: str) -> Iterator[Finding]:
    try:
        wait_for_database(url, seconds=0)
        current, newest = revisions(url)
    except DatabaseUnreachable as error:
        yield Finding("postgres", False, error.detail)
        return
    except SQLAlchemyError as error:
        yield Finding("postgres", False, f"answers, but refuses to be read ({type(error).__name__}): check its user")
        return
    yield Finding("postgres", True, "answers")
    ok = current == newest
    what = f"at {current or 'nothing'}" + ("" if ok else f", the newest is {newest}: run `python manage.py migrate`")
    yield Finding("migrations", ok, what)


def _redis(name: str, url: str) -> Finding:
    try:
        with make_redis(url) as client:
            client.ping()
    except RedisError as error:
        return Finding(name, False, f"does not answer ({type(error).__name__}): start it, or mend {name.upper()}_URL")
    return Finding(name, True, "answers")
