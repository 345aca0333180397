"""The dispatcher against real Postgres and Redis: the window, the order, what gets lost, what dies."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from redis import Redis
from sqlalchemy.orm import Session

from app.core.errors import Unavailable
from app.core.events import STREAM, emit
from app.jobs.services.claim import claim_next
from app.jobs.types import JobKind, Menu, Queue
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import free_port
from config.groups import JobsSettings
from config.settings import Settings
from tasks.base import claim_all, process_message
from tasks.dispatcher import Dispatcher, make_dispatcher
from tasks.runtime import Runtime
from tests.jobs.conftest import ECHO, make_kind

Add = Callable[..., UUID]
Row = Callable[[UUID], Any]
Sql = Callable[..., Any]

BULK = make_kind("test.bulk", bulk=True, queue=Queue.BULK)
SLOW = make_kind("test.slow", queue=Queue.CHAIN)
OTHER = make_kind("test.other")
MENU = Menu.of((ECHO, BULK, SLOW, OTHER))


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A broker of this test's own, to break."""
    folder = tmp_path_factory.mktemp("broker")
    server = EmbeddedValkey("broker", folder, free_port(), "password", folder / "log")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def settings(database_url: str, redis: EmbeddedValkey, cache: EmbeddedValkey) -> Settings:
    """A small window, and no patience."""
    return Settings(
        _env_file=None,
        database_url=database_url,
        broker_url=redis.url,
        cache_url=cache.url,
        jobs=JobsSettings(
            lease_seconds=3.0, window_min=8, bulk_size=5, maintenance_seconds=0.1, resend_after_seconds=0.2
        ),
    )


@pytest.fixture
def dispatcher(settings: Settings) -> Dispatcher:
    """One replica, driven a round at a time."""
    return make_dispatcher(settings, MENU)


@pytest.fixture
def waiting(redis: EmbeddedValkey) -> Callable[..., list[list[str]]]:
    """The messages in a queue, oldest first: the job ids each names."""
    client = Redis.from_url(redis.url)

    def _waiting(queue: Queue = Queue.DEFAULT, *, take: int = 0) -> list[list[str]]:
        raw = [client.rpop(queue) for _ in range(take)] if take else client.lrange(queue, 0, -1)[::-1]
        return [body_of(json.loads(message))[0][0] for message in raw if message is not None]

    return _waiting


def body_of(message: dict[str, Any]) -> Any:
    """Celery's arguments inside a message of the Redis transport."""
    return json.loads(base64.b64decode(message["body"]))


def run(context: Runtime, kind: JobKind, ids: list[str]) -> None:
    """What a worker does with a message."""
    process_message(context, kind, lambda _: {}, [UUID(job_id) for job_id in ids])


def test_the_window_bounds_what_is_published(dispatcher: Dispatcher, context: Runtime, add: Add, waiting: Any) -> None:
    jobs = [add() for _ in range(20)]
    assert dispatcher.round() == 8
    assert dispatcher.round() == 0
    assert waiting() == [[str(job_id)] for job_id in jobs[:8]]
    for ids in waiting(take=3):
        claim_all(context, ECHO, [UUID(job_id) for job_id in ids])
    assert dispatcher.round() == 3
    assert waiting() == [[str(job_id)] for job_id in jobs[3:11]]


def test_a_worker_goes_on_behind_the_window_and_leaves_the_published_to_their_messages(
    dispatcher: Dispatcher, context: Runtime, add: Add, waiting: Any, row: Row
) -> None:
    published = [add() for _ in range(8)]
    dispatcher.round()
    behind, other = [add() for _ in range(3)], add(SLOW)
    (ids,) = waiting(take=1)
    run(context, ECHO, ids)
    assert [row(job_id).status for job_id in (published[0], *behind)] == ["succeeded"] * 4
    assert {row(job_id).status for job_id in (*published[1:], other)} == {"queued"}
    assert len(waiting()) == 7


def test_a_worker_does_not_look_past_other_kinds_for_its_own(
    dispatcher: Dispatcher, context: Runtime, add: Add, waiting: Any, row: Row
) -> None:
    add()
    dispatcher.round()
    for _ in range(16):
        add(OTHER)
    mine = add()
    (ids,) = waiting()
    run(context, ECHO, ids)
    assert row(mine).status == "queued"


def test_two_workers_going_on_never_take_the_same_job(context: Runtime, add: Add, row: Row) -> None:
    jobs = {add() for _ in range(4)}
    with context.autocommit.connect() as one, context.engine.connect() as two:
        first = claim_next(one, ECHO, lease_seconds=3, worker="one")
        second = claim_next(two, ECHO, lease_seconds=3, worker="two")  # not committed: its row stays locked
        third = claim_next(one, ECHO, lease_seconds=3, worker="one")
        taken = [claim.id for claim in (first, second, third) if claim is not None]
        assert len(set(taken) & jobs) == 3
        assert row(taken[1]).status == "queued"


def test_a_named_queue_goes_at_once_and_the_others_no_later_than_the_poll(
    settings: Settings, add: Add, waiting: Any
) -> None:
    slow_poll = settings.model_copy(update={"jobs": settings.jobs.model_copy(update={"poll_seconds": 3600.0})})
    calm, hasty = make_dispatcher(slow_poll, MENU), make_dispatcher(settings, MENU)
    calm.round()
    add(), add(SLOW)
    assert calm.round({Queue.CHAIN}) == 1
    assert (len(waiting(Queue.CHAIN)), len(waiting())) == (1, 0)
    assert hasty.round({Queue.CHAIN}) == 1
    assert len(waiting()) == 1


def test_the_order_is_priority_then_time(dispatcher: Dispatcher, add: Add, waiting: Any) -> None:
    late, normal, first = add(priority=9), add(), add(priority=0)
    overdue = add(run_at=datetime.now(UTC) - timedelta(hours=1))
    future = add(priority=0, run_at=datetime.now(UTC) + timedelta(hours=1))
    assert dispatcher.round() == 4
    assert waiting() == [[str(job_id)] for job_id in (first, overdue, normal, late)]
    assert [str(future)] not in waiting()


def test_a_full_queue_does_not_hold_up_another(dispatcher: Dispatcher, add: Add, waiting: Any) -> None:
    for _ in range(30):
        add(SLOW)
    job_id = add()
    dispatcher.round()
    assert waiting() == [[str(job_id)]]
    assert len(waiting(Queue.CHAIN)) == 8


def test_a_bulk_kind_goes_many_a_message(dispatcher: Dispatcher, add: Add, waiting: Any) -> None:
    jobs = [str(add(BULK)) for _ in range(7)]
    dispatcher.round()
    assert waiting(Queue.BULK) == [jobs[:5], jobs[5:]]


def test_an_emptied_redis_is_filled_again_at_once(
    dispatcher: Dispatcher, redis: EmbeddedValkey, add: Add, waiting: Any
) -> None:
    jobs = [add() for _ in range(5)]
    dispatcher.round()
    Redis.from_url(redis.url).flushall()
    wait_until(lambda: dispatcher.round() == 5)
    assert waiting() == [[str(job_id)] for job_id in jobs]


def test_a_lost_message_is_sent_again_and_a_kept_one_is_not(
    dispatcher: Dispatcher, add: Add, waiting: Any, row: Row
) -> None:
    jobs = [add() for _ in range(5)]
    dispatcher.round()
    assert waiting(take=1) == [[str(jobs[0])]]  # popped by a worker that died before it claimed
    wait_until(lambda: dispatcher.round() == 1)
    assert sorted(waiting()) == sorted([str(job_id)] for job_id in jobs)
    for _ in range(20):
        dispatcher.round()
    assert len(waiting()) == 5, "messages multiplied"
    assert row(jobs[0]).dispatch_count == 2


def test_a_dead_redis_loses_nothing(dispatcher: Dispatcher, redis: EmbeddedValkey, add: Add, waiting: Any) -> None:
    redis.process.kill()
    jobs = [add() for _ in range(3)]
    with pytest.raises(Unavailable):
        dispatcher.round()
    redis.start()
    wait_until(lambda: try_round(dispatcher) and len(waiting()) == 3)
    assert sorted(waiting()) == sorted([str(job_id)] for job_id in jobs)


def try_round(dispatcher: Dispatcher) -> bool:
    """A round as the loop makes it: a failure is tried again."""
    try:
        dispatcher.round()
    except Unavailable:
        return False
    return True


def test_an_expired_lease_is_rescued_without_costing_an_attempt(
    dispatcher: Dispatcher, add: Add, row: Row, sql: Sql
) -> None:
    job_id = add()
    claim(sql, job_id)
    dispatcher.round()
    job = row(job_id)
    assert (job.status, job.attempt, job.crashes, job.claim_token) == ("queued", 0, 1, None)


def claim(sql: Sql, job_id: UUID) -> None:
    """A claim whose worker has died."""
    sql(
        "UPDATE jobs SET status = 'running', attempt = attempt + 1, fence = fence + 1,"
        " claim_token = gen_random_uuid(), lease_until = now() - interval '1 s' WHERE id = :id",
        id=job_id,
    )


def test_a_job_that_kills_its_workers_is_poison(dispatcher: Dispatcher, add: Add, row: Row, sql: Sql) -> None:
    job_id = add()
    sql("UPDATE jobs SET crashes = 9 WHERE id = :id", id=job_id)
    claim(sql, job_id)
    dispatcher.round()
    assert (row(job_id).status, row(job_id).error["code"]) == ("failed", "jobs.poisoned")


def test_a_dead_worker_with_an_unrepeatable_effect_leaves_doubt(
    dispatcher: Dispatcher, add: Add, row: Row, sql: Sql
) -> None:
    job_id = add()
    claim(sql, job_id)
    sql("INSERT INTO effects (effect_key, job_id, repeatable, phase) VALUES ('pay', :id, false, 'sending')", id=job_id)
    dispatcher.round()
    assert (row(job_id).status, row(job_id).error["code"]) == ("in_doubt", "jobs.effect_in_doubt")


def test_a_cancelled_job_of_a_dead_worker_is_cancelled(dispatcher: Dispatcher, add: Add, row: Row, sql: Sql) -> None:
    job_id = add()
    claim(sql, job_id)
    sql("UPDATE jobs SET cancel_requested_at = now() WHERE id = :id", id=job_id)
    dispatcher.round()
    assert row(job_id).status == "cancelled"


def test_a_job_past_its_time_expires(dispatcher: Dispatcher, add: Add, row: Row) -> None:
    job_id = add(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    dispatcher.round()
    assert row(job_id).status == "expired"


def test_an_ended_job_moves_to_the_archive(settings: Settings, add: Add, sql: Sql, context: Runtime) -> None:
    job_id = add()
    run(context, ECHO, [str(job_id)])
    quick = settings.model_copy(update={"jobs": settings.jobs.model_copy(update={"archive_after_seconds": 0.0})})
    make_dispatcher(quick, MENU).round()
    assert sql("SELECT count(*) FROM jobs").scalar_one() == 0
    archived = sql("SELECT id, status FROM jobs_archive").one()
    assert tuple(archived) == (job_id, "succeeded")


def test_events_are_numbered_by_commit_and_published_once(
    dispatcher: Dispatcher, redis: EmbeddedValkey, context: Runtime, sql: Sql
) -> None:
    with Session(context.engine) as session:
        for n in range(3):
            emit(session, "prices", f"feed-{n}", {"n": n})
        session.commit()
    dispatcher.round()
    sql("UPDATE outbox SET published_at = NULL")  # as if the dispatcher had died after publishing
    dispatcher.round()
    entries = Redis.from_url(redis.url, decode_responses=True).xrange(STREAM)
    assert [entry_id for entry_id, _ in entries] == ["1-0", "2-0", "3-0"]
    assert [json.loads(fields["payload"])["n"] for _, fields in entries] == [0, 1, 2]
    assert sql("SELECT count(*) FROM outbox WHERE published_at IS NULL").scalar_one() == 0


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Poll until true: bounded, and no longer than needed."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
