"""Postgres can write no more: files may not grow past a size (RLIMIT_FSIZE), as on a full disk, and later they may."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator

import psutil
from sqlalchemy.exc import DBAPIError

from tests.faults.scene import Scene

ROOM_BYTES = 17 * 2**20  # more than a segment of the log, which Postgres writes in full at once
# Rows that nobody else looks at, until these tables have no place left below the limit.
KEYS = (
    "INSERT INTO job_keys (principal, route, key, request_hash, answer, expires_at) SELECT 'filler', '/',"
    " {} || clock_timestamp(), '', '{{}}', now() + interval '1 hour' FROM generate_series(1, :rows) n"
)
FILL = (
    "INSERT INTO writes (job_id, step) SELECT NULL, n FROM generate_series(1, :rows) n",
    KEYS.format("repeat(md5(n::text), 20)"),
    KEYS.format("CAST(n AS text)"),  # what is left of each page
)
BEFOREHAND = (370_000, 23_500, 0)
PORTIONS = (2000, 100, 10)
EMPTY = ("DELETE FROM writes WHERE job_id IS NULL", "DELETE FROM job_keys WHERE principal = 'filler'")
HELD_SECONDS = 3.0


def tables_full(scene: Scene) -> None:
    """Tables cannot grow: bodies cannot write their effects, then the API cannot keep its keys. There is room again."""
    for statement, rows in zip(FILL, BEFOREHAND, strict=True):
        scene.ground.sql(statement, rows=rows)
    writes, *keys = FILL
    with limited(scene, ROOM_BYTES):
        fill_up(scene, writes)
        scene.let_loose()
        scene.await_a_moment()
        for statement in keys:
            fill_up(scene, statement)
        scene.pause_seconds(HELD_SECONDS)
    for statement in EMPTY:
        scene.ground.sql(statement)
    scene.mark()
    scene.note = f"{scene.storm.statuses[503]} answers of 503"
    if not scene.storm.statuses[503]:
        raise AssertionError("nothing was refused: the strike did not strike")


def log_full(scene: Scene) -> None:
    """The log itself cannot be written: Postgres panics and ends. There is room again, and somebody starts it."""
    scene.let_loose()
    scene.await_a_moment()
    with limited(scene, 0):
        scene.wait_until(lambda: scene.ground.postgres.process.poll() is not None, "Postgres gives up")
    scene.ground.postgres.start()
    scene.mark()
    scene.note = f"{scene.storm.statuses[503]} answers of 503"


def fill_up(scene: Scene, statement: str) -> None:
    """Insert until not even a few rows go in."""
    for rows in PORTIONS:
        with contextlib.suppress(DBAPIError):
            while True:
                scene.ground.sql(statement, rows=rows)


@contextlib.contextmanager
def limited(scene: Scene, size: int) -> Iterator[None]:
    """No file of Postgres may be written past `size`: for what runs, and what it starts."""
    postmaster = scene.ground.postgres.process.pid or 0
    before = resource.prlimit(postmaster, resource.RLIMIT_FSIZE)
    set_limit(postmaster, (size, before[1]))
    try:
        yield
    finally:
        set_limit(postmaster, before)


def set_limit(postmaster: int, limit: tuple[int, int]) -> None:
    """The postmaster first, so that what it starts meanwhile has the limit too."""
    with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
        resource.prlimit(postmaster, resource.RLIMIT_FSIZE, limit)
        for child in psutil.Process(postmaster).children():
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(child.pid, resource.RLIMIT_FSIZE, limit)
