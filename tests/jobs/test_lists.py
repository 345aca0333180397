"""What the queue's hot statements touch does not grow with the table, and filtered lists still hold every job once."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.core.db import make_engine
from app.jobs.services.reading import list_jobs
from app.jobs.types import JobFilter
from app.ops.adapters.embedded_postgres import EmbeddedPostgres
from bench.queue_buffers import Choices, Row, fill, report
from tests.conftest import fresh_database

ARCHIVED = 2000
CHOICES: Choices = {
    "principal": ("user:big", None),
    "status": (None, "succeeded", "failed"),
    "kind": (None, "b.one"),
    "queue": (None,),
    "schedule": (None, "schedule3"),
}


@pytest.fixture(scope="module")
def small(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """A thousand live jobs."""
    with fresh_database(postgres) as url:
        engine = make_engine(url)
        fill(engine, 1000, ARCHIVED)
        yield engine
        engine.dispose()


@pytest.fixture(scope="module")
def large(postgres: EmbeddedPostgres) -> Iterator[Engine]:
    """Thirty times as many."""
    with fresh_database(postgres) as url:
        engine = make_engine(url)
        fill(engine, 30_000, ARCHIVED)
        yield engine
        engine.dispose()


@pytest.fixture(scope="module")
def figures(small: Engine, large: Engine) -> list[Row]:
    """Buffers by step and by page; a plan that scans a table or sorts is an error."""
    return report(small, large, CHOICES)


def test_no_step_and_no_page_touches_more_in_a_larger_table(figures: list[Row]) -> None:
    assert [row for row in figures if not row.ok] == []


def test_the_figures_are_of_every_step_and_of_whole_pages(figures: list[Row]) -> None:
    steps = {"dispatch", "claim", "claim next", "heartbeat", "finish", "find"}
    assert {row.metric.removeprefix("buffers: ") for row in figures} >= steps
    assert len([row for row in figures if " page of " in row.metric]) >= 5


@pytest.mark.parametrize(
    "wanted",
    [
        JobFilter(principal=None, status="succeeded", kind="b.one"),
        JobFilter(principal=None, status="failed", queue="perps"),
        JobFilter(principal="user:big", status="succeeded", kind="c.one"),
        JobFilter(principal="user:big", kind="a.one", queue="perps"),
        JobFilter(principal=None, status="queued", schedule="schedule3"),
        JobFilter(principal="user:3"),
    ],
    ids=str,
)
def test_following_the_cursor_finds_every_match_once(large: Engine, wanted: JobFilter) -> None:
    with Session(large) as session:
        found: list[UUID] = []
        cursor, pages = None, 0
        while pages == 0 or cursor is not None:
            page = list_jobs(session, wanted, cursor=cursor, limit=50)
            found += [row.id for row in page.items]
            cursor, pages = page.next_cursor, pages + 1
        assert found == expected(session, wanted)


def expected(session: Session, wanted: JobFilter) -> list[UUID]:
    """The answer by a statement that knows nothing of walks."""
    given = {
        name: value for name in ("principal", "status", "kind", "queue", "schedule") if (value := getattr(wanted, name))
    }
    where = " AND ".join(f"{name} = :{name}" for name in given)
    columns = "id, principal, status, kind, queue, schedule"
    both = f"(SELECT {columns} FROM jobs UNION ALL SELECT {columns} FROM jobs_archive) AS every"  # noqa: S608
    return list(session.scalars(text(f"SELECT id FROM {both} WHERE {where} ORDER BY id DESC"), given))  # noqa: S608
