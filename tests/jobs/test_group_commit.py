"""Jobs of several requests in one commit: each gets its own, and one bad one harms no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, Row, text
from sqlalchemy.exc import IntegrityError, OperationalError

from app.core.db import make_engine
from app.jobs.services.group_commit import GroupCommit
from app.jobs.types import NewJob
from tests.jobs.conftest import ECHO, make_kind

CALLERS = 8
Submit = Callable[..., list[Future[Row[Any]]]]


@pytest.fixture
def together(database_url: str) -> Iterator[GroupCommit]:
    engine = make_engine(database_url, pool_size=1)
    yield GroupCommit(engine)
    engine.dispose()


@pytest.fixture
def submit_at_once(together: GroupCommit, engine: Engine) -> Iterator[Submit]:
    """Submit jobs from threads while the table is locked: the first leads and waits, the others wait behind it."""

    def _submit(*priorities: int) -> list[Future[Row[Any]]]:
        with engine.begin() as connection:
            connection.execute(text("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE"))
            sent = [pool.submit(together.enqueue, job(priorities[0]))]
            until(lambda: together._led and not together._waiting)
            sent += [pool.submit(together.enqueue, job(priority)) for priority in priorities[1:]]
            until(lambda: len(together._waiting) == len(priorities) - 1)
        return sent

    with ThreadPoolExecutor(CALLERS) as pool:
        yield _submit


def job(priority: int) -> NewJob:
    return NewJob(kind=ECHO, params={"priority": priority}, principal="user:alice", priority=priority)


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


def commits(engine: Engine) -> list[int]:
    """How many jobs each transaction brought, the largest last."""
    with engine.connect() as connection:
        return sorted(connection.scalars(text("SELECT count(*) FROM jobs GROUP BY CAST(xmin AS text)")))


def test_who_comes_while_a_commit_runs_goes_into_the_next(submit_at_once: Submit, engine: Engine) -> None:
    sent = submit_at_once(*range(CALLERS))
    shown = [one.result(20) for one in sent]
    assert [row.params["priority"] for row in shown] == list(range(CALLERS))
    assert len({row.id for row in shown}) == CALLERS
    assert commits(engine) == [1, CALLERS - 1]


def test_one_bad_job_is_refused_alone(submit_at_once: Submit, engine: Engine) -> None:
    first, good, bad, other = submit_at_once(1, 2, 99, 3)
    with pytest.raises(IntegrityError):
        bad.result(20)
    assert [one.result(20).priority for one in (first, good, other)] == [1, 2, 3]
    assert sum(commits(engine)) == 3


def test_nobody_leads_for_ever(together: GroupCommit) -> None:
    assert [together.enqueue(job(1)).status for _ in range(3)] == ["queued"] * 3
    assert not together._led


def test_a_database_that_is_gone_is_everybodys_error_and_not_the_end() -> None:
    gone = GroupCommit(make_engine("postgresql+psycopg2://wk@127.0.0.1:1/none", pool_size=1))
    for _ in range(2):
        with pytest.raises(OperationalError):
            gone.enqueue(job(1))


def test_keys_that_may_refuse_a_job_keep_it_out() -> None:
    assert GroupCommit.takes(ECHO)
    assert not GroupCommit.takes(make_kind("test.lone", overlap_key=lambda params: "x"))
    assert not GroupCommit.takes(make_kind("test.line", serial_key=lambda params: "x"))
