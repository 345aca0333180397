"""A backlog of a hundred thousand jobs: what it must not slow down, what it must not multiply, and when it is full."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from app.core.db import make_engine
from app.core.http.principal import Principal
from app.jobs.errors import QueueFull
from app.jobs.queries.dispatch import FILL
from app.jobs.services.backlog import COUNTED_FOR_SECONDS, Backlogs
from app.jobs.services.dispatch import SWEPT_AT_ONCE
from app.jobs.types import Menu, Queue
from app.ops.adapters.embedded_postgres import EmbeddedPostgres
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import free_port
from bench.queue_buffers import explain, touched
from config.groups import JobsSettings
from config.settings import Settings
from tasks.dispatcher import BULK_WINDOW, Dispatcher, make_dispatcher
from tests.conftest import fresh_database
from tests.jobs.conftest import ECHO, make_kind

BACKLOG = 100_000
WINDOW = 20
BULK_MESSAGES = BULK_WINDOW * WINDOW // 5
PROBE = {"kind": "jobs.probe", "params": {}}
URGENT = make_kind("test.urgent", queue=Queue.LIQUIDATION)
BULK = make_kind("test.bulk", queue=Queue.BULK, bulk=True)
MENU = Menu.of((ECHO, URGENT, BULK))

MANY = text(
    """
    INSERT INTO jobs (id, kind, principal, queue, priority, status, params, max_attempts)
    SELECT gen_random_uuid(), k.kind, 'user:test', k.queue, 5, 'queued', '{}', 3
    FROM (VALUES ('test.echo', 'default'), ('test.bulk', 'bulk')) AS k(kind, queue), generate_series(1, :each)
    """
)

AGE = """
    WITH aged AS (UPDATE jobs SET dispatched_at = now() - interval '1 hour' WHERE dispatched_at IS NOT NULL RETURNING 1)
    SELECT count(*) FROM aged
"""
ENDED = """
    INSERT INTO jobs (id, kind, principal, queue, priority, status, params, max_attempts, finished_at)
    SELECT gen_random_uuid(), 'test.echo', 'user:test', 'default', 5, 'cancelled', '{}', 3, now() - interval '1 hour'
    FROM generate_series(1, :jobs) RETURNING 1
"""


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A broker that holds these tests' messages only."""
    folder = tmp_path_factory.mktemp("broker")
    server = EmbeddedValkey("broker", folder, free_port(), "password", folder / "log")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def backlog(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A database with a hundred thousand queued jobs, in two queues."""
    with fresh_database(postgres) as url:
        crowd(url, BACKLOG)
        yield url


@pytest.fixture
def crowded(backlog: str, broker: EmbeddedValkey) -> str:
    """The same, and nothing published or ended yet: the tests that share it come in any order."""
    with Redis.from_url(broker.url) as redis:
        redis.flushall()
    engine = make_engine(backlog)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM jobs WHERE status <> 'queued' OR kind = 'test.urgent' OR priority = 0"))
        connection.execute(text("UPDATE jobs SET dispatched_at = NULL, dispatch_count = 0 WHERE dispatch_count > 0"))
    engine.dispose()
    return backlog


def crowd(url: str, jobs: int) -> None:
    """Queue so many jobs, and let Postgres know of them."""
    engine = make_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(MANY, {"each": jobs // 2})
        connection.execute(text("VACUUM ANALYZE jobs"))
    engine.dispose()


@pytest.fixture
def dispatcher_of(broker: EmbeddedValkey, cache: EmbeddedValkey) -> Callable[[str], Dispatcher]:
    """Makes a dispatcher of a database."""

    def make(url: str) -> Dispatcher:
        jobs = JobsSettings(window_min=WINDOW, bulk_size=5, maintenance_seconds=3600.0, archive_after_seconds=60.0)
        settings = Settings(_env_file=None, database_url=url, broker_url=broker.url, cache_url=cache.url, jobs=jobs)
        return make_dispatcher(settings, MENU)

    return make


@pytest.fixture
def crowded_dispatcher(crowded: str, dispatcher_of: Callable[[str], Dispatcher]) -> Dispatcher:
    """A dispatcher of the crowded database."""
    return dispatcher_of(crowded)


def test_messages_stay_within_the_window_and_none_is_sent_twice(
    crowded_dispatcher: Dispatcher, crowded: str, broker: EmbeddedValkey
) -> None:
    for _ in range(5):
        crowded_dispatcher.round()
    with Redis.from_url(broker.url) as redis:
        assert (redis.llen(Queue.DEFAULT), redis.llen(Queue.BULK)) == (WINDOW, BULK_MESSAGES)
    published = "SELECT count(*), max(dispatch_count) FROM jobs WHERE dispatch_count > 0"
    assert tuple(ask(crowded, published)) == (WINDOW + BULK_WINDOW * WINDOW, 1)


def test_messages_that_only_wait_are_not_sent_again(
    crowded_dispatcher: Dispatcher, crowded: str, dispatcher_of: Callable[[str], Dispatcher], broker: EmbeddedValkey
) -> None:
    crowded_dispatcher.round()
    ask(crowded, AGE)
    dispatcher_of(crowded).round()  # a new replica looks for lost messages first
    with Redis.from_url(broker.url) as redis:
        assert (redis.llen(Queue.DEFAULT), redis.llen(Queue.BULK)) == (WINDOW, BULK_MESSAGES)
    assert ask(crowded, "SELECT max(dispatch_count) FROM jobs")[0] == 1


def test_a_lost_bulk_message_is_sent_again_with_its_jobs(
    crowded_dispatcher: Dispatcher, crowded: str, dispatcher_of: Callable[[str], Dispatcher], broker: EmbeddedValkey
) -> None:
    crowded_dispatcher.round()
    with Redis.from_url(broker.url) as redis:
        redis.rpop(Queue.BULK)
        ask(crowded, AGE)
        dispatcher_of(crowded).round()
        assert redis.llen(Queue.BULK) == BULK_MESSAGES
    assert ask(crowded, "SELECT count(*) FROM jobs WHERE dispatch_count = 2")[0] == 5


def test_an_urgent_job_passes_the_backlog_by(
    crowded_dispatcher: Dispatcher, crowded: str, broker: EmbeddedValkey
) -> None:
    crowded_dispatcher.round()
    urgent = add(crowded, "test.urgent", Queue.LIQUIDATION)
    assert crowded_dispatcher.round() == 1
    assert ask(crowded, "SELECT dispatch_count FROM jobs WHERE id = :id", id=urgent)[0] == 1
    with Redis.from_url(broker.url) as redis:
        assert redis.llen(Queue.LIQUIDATION) == 1


def test_in_a_full_queue_the_first_priority_goes_next(crowded_dispatcher: Dispatcher, crowded: str) -> None:
    crowded_dispatcher.round()
    first = add(crowded, "test.echo", Queue.DEFAULT, priority=0)
    assert crowded_dispatcher.round() == 0
    one = "SELECT id FROM jobs WHERE queue = 'default' AND dispatched_at IS NOT NULL LIMIT 1"
    ask(crowded, f"UPDATE jobs SET status = 'cancelled', finished_at = now() WHERE id = ({one}) RETURNING 1")  # noqa: S608
    assert crowded_dispatcher.round() == 1
    assert ask(crowded, "SELECT dispatched_at IS NOT NULL FROM jobs WHERE id = :id", id=first)[0]


def test_a_round_touches_no_more_than_with_a_small_backlog(
    crowded: str, database_url: str, dispatcher_of: Callable[[str], Dispatcher]
) -> None:
    crowd(database_url, BACKLOG // 100)
    cost = []
    for url in (database_url, crowded):
        dispatcher_of(url).round()
        add(url, "test.urgent", Queue.LIQUIDATION)
        engine = make_engine(url)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM jobs"))  # what other tests left dead is not the backlog's cost
        with engine.connect() as connection:
            plan = explain(connection, FILL, {"queues": list(Queue), "sizes": [WINDOW] * len(Queue)})
        engine.dispose()
        assert plan["Actual Rows"] == 1
        cost.append(touched(plan))
    assert cost[1] <= 1.5 * cost[0], cost


def test_the_archive_takes_a_batch_each_round_while_it_is_behind(
    engine: Engine, database_url: str, dispatcher_of: Callable[[str], Dispatcher]
) -> None:
    with engine.begin() as connection:
        connection.execute(text(ENDED), {"jobs": 2 * SWEPT_AT_ONCE + 1})
    dispatcher = dispatcher_of(database_url)
    left = []
    for _ in range(3):
        dispatcher.round()
        left.append(ask(database_url, "SELECT count(*) FROM jobs")[0])
    assert left == [SWEPT_AT_ONCE + 1, 1, 0]
    assert ask(database_url, "SELECT count(*) FROM jobs_archive")[0] == 2 * SWEPT_AT_ONCE + 1


def ask(url: str, statement: str, **values: Any) -> Any:
    """One row of a statement, committed."""
    engine = make_engine(url)
    with engine.begin() as connection:
        row = connection.execute(text(statement), values).one()
    engine.dispose()
    return row


def add(url: str, kind: str, queue: Queue, *, priority: int = 5) -> Any:
    """A queued job's id."""
    insert = """
        INSERT INTO jobs (id, kind, principal, queue, priority, status, params, max_attempts)
        VALUES (gen_random_uuid(), :kind, 'user:test', :queue, :priority, 'queued', '{}', 3) RETURNING id
    """
    return ask(url, insert, kind=kind, queue=queue, priority=priority)[0]


def test_a_full_queue_takes_more_once_it_has_room(session: Session, engine: Engine) -> None:
    now = 0.0
    backlogs = Backlogs(2, clock=lambda: now)
    backlogs.check(lambda: session, Queue.DEFAULT)
    for _ in range(2):
        add(str(engine.url.render_as_string(hide_password=False)), "test.echo", Queue.DEFAULT)
    backlogs.check(lambda: session, Queue.DEFAULT)  # the count is still good
    now += COUNTED_FOR_SECONDS
    with pytest.raises(QueueFull):
        backlogs.check(lambda: session, Queue.DEFAULT)
    backlogs.check(lambda: session, Queue.LIQUIDATION)
    session.execute(text("DELETE FROM jobs"))
    now += COUNTED_FOR_SECONDS
    backlogs.check(lambda: session, Queue.DEFAULT)


@pytest.fixture
def full(make_app: Callable[..., Flask], settings: Settings, database_url: str) -> FlaskClient:
    """The API with its default queue full: one job may wait there, and one does."""
    add(database_url, "test.echo", Queue.DEFAULT)
    changed = settings.model_copy(update={"jobs": settings.jobs.model_copy(update={"max_queued": 1})})
    anybody = Principal(id="user:test", scopes=frozenset({"admin"}), method="session")
    return make_app(changed, authenticate=lambda _: anybody).test_client()


HEADERS = {"Authorization": "Bearer any"}


def test_a_full_queue_refuses_clients_and_says_when_to_return(full: FlaskClient, engine: Engine) -> None:
    answer = full.post("/v1/jobs", json=PROBE, headers=HEADERS)
    assert (answer.status_code, answer.mimetype) == (503, "application/problem+json")
    assert answer.get_json()["code"] == "jobs.queue_full"
    assert int(answer.headers["Retry-After"]) >= 1
    ended = add(str(engine.url.render_as_string(hide_password=False)), "jobs.probe", Queue.DEFAULT)
    full.post(f"/v1/jobs/{ended}/cancel", headers=HEADERS)
    retried = full.post(f"/v1/jobs/{ended}/retry", headers=HEADERS)
    assert retried.get_json()["code"] == "jobs.queue_full"


def test_a_batch_is_refused_by_the_item(full: FlaskClient) -> None:
    other = {"kind": "perps.check_health", "params": {"protocol": "p", "position": "1"}}
    answer = full.post("/v1/jobs/batch", json={"jobs": [PROBE, other]}, headers=HEADERS)
    first, second = answer.get_json()["data"]
    assert (first["status"], first["problem"]["code"], first["problem"]["retryable"]) == (503, "jobs.queue_full", True)
    assert second["status"] == 202, second
