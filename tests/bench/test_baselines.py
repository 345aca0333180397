"""The baselines do what they are said to do: they are nobody's straw men, and nobody's cheats."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from app.ops.adapters.embedded_valkey import EmbeddedValkey
from bench.baselines import celery_noop, flask_celery, flask_insert
from bench.queue_submit import JOB

JOBS = text("SELECT * FROM jobs")


@pytest.fixture
def baseline(monkeypatch: pytest.MonkeyPatch, database_url: str, broker: EmbeddedValkey) -> Iterator[Redis]:
    """The variables that the stand sets; a client of the broker, emptied."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("WORK_URL", database_url.replace("+psycopg2", ""))
    monkeypatch.setenv("BROKER_URL", broker.url)
    monkeypatch.setenv("HTTP__THREADS", "2")
    celery_noop.app.conf.broker_url = broker.url
    with Redis.from_url(broker.url) as redis:
        redis.flushall()
        yield redis
        redis.flushall()
    celery_noop.app.close()


def test_the_route_inserts_what_ours_would(baseline: Redis, engine: Engine) -> None:
    client = flask_insert.create_app().test_client()
    answer = client.post("/v1/jobs", json=JOB)
    assert (answer.status_code, answer.json["status"]) == (202, "queued")  # type: ignore[index]
    assert set(answer.json) == set(flask_insert.ANSWERED)  # type: ignore[arg-type]
    with engine.connect() as connection:
        row = connection.execute(JOBS).one()
    assert (str(row.id), row.params) == (answer.json["id"], JOB["params"])  # type: ignore[index]
    assert baseline.llen("baseline") == 0
    for bad in ({}, JOB | {"strange": 1}, JOB | {"params": {"steps": "many"}}):
        assert client.post("/v1/jobs", json=bad).status_code == 422


def test_the_route_of_most_projects_publishes_too(baseline: Redis, engine: Engine) -> None:
    answer = flask_celery.create_app().test_client().post("/v1/jobs", json=JOB)
    assert answer.status_code == 202
    (message,) = baseline.lrange("baseline", 0, -1)
    assert answer.json["id"] in json.loads(message)["headers"]["argsrepr"]  # type: ignore[index]
    with engine.connect() as connection:
        assert len(connection.execute(JOBS).all()) == 1


def test_two_commits_are_two(baseline: Redis, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text(celery_noop.TABLE))
        connection.execute(text("INSERT INTO work VALUES (7)"))
    before = commits(engine)
    celery_noop.two_commits(7)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT state, CAST(CAST(xmin AS text) AS bigint) AS writer FROM work")).one()
    assert row.state == 2
    assert row.writer - before == 2
    celery_noop.pool.cache_clear()


def commits(engine: Engine) -> int:
    """The id of a transaction made now: each commit that writes takes the next."""
    with engine.begin() as connection:
        return int(connection.scalar(text("SELECT pg_current_xact_id()::text")) or 0)
