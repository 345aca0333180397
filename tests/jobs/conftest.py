"""A queue with test kinds of its own, run in this process where that is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.core.http.schema import Int, StrictSchema, Text
from app.jobs.services.enqueue import enqueue
from app.jobs.types import JobKind, NewJob, Queue
from config.groups import JobsSettings
from config.settings import Settings
from tasks.runtime import Runtime


class EchoParams(StrictSchema):
    """Parameters of the test kinds."""

    note = Text(load_default="")
    number = Int(load_default=0)


def make_kind(name: str = "test.echo", **changes: Any) -> JobKind:
    """A kind like the real ones, with what a test wants changed."""
    options: dict[str, Any] = {
        "summary": "A test kind.",
        "params": EchoParams,
        "queue": Queue.DEFAULT,
        "scope": "jobs:write",
        "max_attempts": 3,
    }
    return JobKind(name=name, **(options | changes))


ECHO = make_kind()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings of a process on this test's servers, with a short lease."""
    return settings.model_copy(update={"jobs": JobsSettings(lease_seconds=3.0, archive_after_seconds=0.0)})


@pytest.fixture
def context(settings: Settings) -> Iterator[Runtime]:
    """What a worker process holds."""
    runtime = Runtime(settings)
    yield runtime
    runtime.engine.dispose()


@pytest.fixture
def add(engine: Engine) -> Callable[..., UUID]:
    """Enqueue a job and commit."""

    def _add(kind: JobKind = ECHO, **changes: Any) -> UUID:
        options: dict[str, Any] = {"params": {}, "principal": "user:test"}
        with Session(engine) as session:
            job_id = enqueue(session, NewJob(kind=kind, **(options | changes)))
            session.commit()
            return job_id

    return _add


@pytest.fixture
def row(engine: Engine) -> Callable[[UUID], Any]:
    """A job's row as it is now."""

    def _row(job_id: UUID) -> Any:
        with engine.connect() as connection:
            return connection.execute(text("SELECT * FROM jobs WHERE id = :id"), {"id": job_id}).one()

    return _row


@pytest.fixture
def sql(engine: Engine) -> Callable[..., Any]:
    """Run a statement and commit: the test's own hand on the tables."""

    def _sql(statement: str, **values: Any) -> Any:
        with engine.begin() as connection:
            return connection.execute(text(statement), values)

    return _sql


@pytest.fixture
def token() -> UUID:
    """A claim token."""
    return uuid4()
