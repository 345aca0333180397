"""Schedules on real Postgres: no slot lost, none fired twice, whatever beat or clock do."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.jobs.services.schedules import pause, seed, set_cadence, tick
from app.jobs.types import Cadence, CatchUp, JobKind, Menu, Overlap, ScheduleEntry
from tests.jobs.conftest import ECHO, make_kind

Sql = Callable[..., Any]
HEAD = make_kind("test.head", overlap_key=lambda params: "head")
HOUR = make_kind("test.hour", serial_key=lambda params: "hour")
MENU = Menu.of((ECHO, HEAD, HOUR))


def entry(kind: JobKind = ECHO, **changes: Any) -> ScheduleEntry:
    """A schedule every ten seconds."""
    options: dict[str, Any] = {
        "name": "tens",
        "summary": "Every ten seconds.",
        "cadence": Cadence(interval_seconds=10),
    }
    return ScheduleEntry(kind=kind, **(options | changes))


@pytest.fixture
def plant(engine: Engine, sql: Sql) -> Callable[..., None]:
    """Seed a schedule, and put its mark into the past, as if beat had been dead since."""

    def _plant(planted: ScheduleEntry, seconds_ago: int = 0) -> None:
        with Session(engine) as session:
            seed(session, [planted])
            session.commit()
        sql(
            "UPDATE schedules SET anchor_at = date_trunc('minute', now()) - interval '1 day',"
            " mark_at = now() - make_interval(secs => :ago), next_at = now() - make_interval(secs => :ago)",
            ago=seconds_ago,
        )

    return _plant


def run_ticks(engine: Engine) -> int:
    """What a beat does with its turn: a transaction a schedule until nothing is due."""
    fired = 0
    with Session(engine) as session:
        while tick(session, MENU) is not None:
            session.commit()
            fired += 1
        session.commit()
    return fired


def test_the_latest_slot_runs_and_the_skipped_are_recorded(engine: Engine, plant: Any, sql: Sql) -> None:
    plant(entry(), 100)
    run_ticks(engine)
    jobs = sql("SELECT schedule, principal, slot_at FROM jobs").all()
    assert [(job.schedule, job.principal) for job in jobs] == [("tens", "system")]
    skipped = sql("SELECT sum(slots) FROM schedule_slots WHERE skipped = 'catch_up'").scalar_one()
    assert 9 <= skipped + 1 <= 11
    assert sql("SELECT mark_at FROM schedules").scalar_one() == jobs[0].slot_at


def test_every_slot_runs_in_order_when_all_are_wanted(engine: Engine, plant: Any, sql: Sql) -> None:
    plant(entry(HOUR, catch_up=CatchUp.ALL, overlap=Overlap.QUEUE), 100)
    run_ticks(engine)
    rows = sql("SELECT slot_at, blocked FROM jobs ORDER BY slot_at").all()
    assert len(rows) in (10, 11)
    assert {(b.slot_at - a.slot_at).seconds for a, b in itertools.pairwise(rows)} == {10}
    assert [row.blocked for row in rows] == [False] + [True] * (len(rows) - 1)


def test_ten_beats_at_once_fire_each_slot_once(engine: Engine, plant: Any, sql: Sql) -> None:
    plant(entry(catch_up=CatchUp.ALL), 100)
    with ThreadPoolExecutor(5) as beats:
        list(beats.map(lambda _: run_ticks(engine), range(10)))
    rows = sql("SELECT slot_at FROM jobs ORDER BY slot_at").all()
    assert len(rows) in (10, 11)
    assert len(set(rows)) == len(rows)


def test_a_slot_that_finds_its_job_alive_is_skipped_and_recorded(engine: Engine, plant: Any, sql: Sql) -> None:
    plant(entry(HEAD), 20)
    run_ticks(engine)
    sql("UPDATE schedules SET mark_at = mark_at + interval '10 s', next_at = now() - interval '1 s'")
    sql("UPDATE schedules SET mark_at = now() - interval '15 s', anchor_at = anchor_at + interval '3 s'")
    run_ticks(engine)
    assert sql("SELECT count(*) FROM jobs").scalar_one() == 1
    assert sql("SELECT count(*) FROM schedule_slots WHERE skipped = 'overlap'").scalar_one() >= 1


def test_a_pruned_slot_does_not_fire_again(engine: Engine, plant: Any, sql: Sql) -> None:
    plant(entry(catch_up=CatchUp.ALL), 50)
    run_ticks(engine)
    sql("DELETE FROM schedule_slots")
    sql("DELETE FROM jobs")
    sql("UPDATE schedules SET next_at = now() - interval '1 s'")  # a beat that thinks it is due
    run_ticks(engine)
    assert sql("SELECT count(*) FROM jobs").scalar_one() <= 1


def test_a_deploy_keeps_the_operators_hand(engine: Engine, plant: Any, sql: Sql) -> None:
    plant(entry())
    with Session(engine) as session:
        set_cadence(session, "tens", Cadence(interval_seconds=77))
        pause(session, "tens", True)
        session.commit()
        seed(session, [entry(cadence=Cadence(interval_seconds=20), summary="Changed.")])
        session.commit()
    row = sql("SELECT * FROM schedules").one()
    assert (row.interval_seconds, row.override_interval_seconds, row.paused, row.summary) == (20, 77, True, "Changed.")
    assert (row.next_at - row.anchor_at).seconds == 77


def test_a_paused_schedule_does_not_fire(engine: Engine, plant: Any, sql: Sql) -> None:
    plant(entry(), 100)
    sql("UPDATE schedules SET paused = true")
    assert run_ticks(engine) == 0


def test_a_schedule_that_left_the_deployment_is_retired(engine: Engine, plant: Any, sql: Sql) -> None:
    plant(entry(), 100)
    with Session(engine) as session:
        seed(session, [entry(name="other")])
        session.commit()
    assert dict(sql("SELECT name, retired FROM schedules").all()) == {"tens": True, "other": False}
    assert run_ticks(engine) == 0
