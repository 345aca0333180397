"""The months of the price history: made ahead, filled from the default partition when late, dropped when old."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from alembic import command
from sqlalchemy import Engine
from sqlalchemy.orm import Session

import migrations
from app.core.clock import utc_now
from app.oracle.maths.months import Month
from app.oracle.services.partitions import drop_partitions, ensure_partitions
from app.oracle.services.read import list_history
from tests.fakes.hermes import SignedPrices
from tests.oracle.conftest import Refresh, rows, wait_until_blocked
from tests.oracle.updates import AT, BTC, NOW, message

PLACES = "SELECT tableoid::regclass::text, count(*) FROM oracle_prices GROUP BY 1 ORDER BY 1"
# The migration made two months around the day of the test; these lie where it made none.
LATER = datetime(2031, 3, 14, tzinfo=UTC)
MARCH = Month(2031, 3)


def insert(session: Session, at: datetime) -> None:
    """A row of history."""
    rows(
        session,
        "INSERT INTO oracle_prices VALUES (:feed, :at, 1, 1, -8, 1, 1, 1, 1) RETURNING 1",
        feed=BTC,
        at=at,
    )


def test_the_migration_made_this_month_and_the_next(session: Session) -> None:
    now = utc_now()
    assert ensure_partitions(session, now=now, months=1) == []


def test_a_price_without_a_month_is_recorded_and_moved_when_the_month_is_made(session: Session, followed: None) -> None:
    edges = [MARCH.start, LATER, MARCH.end]
    for moment in edges:
        insert(session, moment)
    session.commit()
    assert rows(session, PLACES) == [("oracle_prices_default", 3)]
    assert ensure_partitions(session, now=LATER, months=0) == ["oracle_prices_p203103"]
    session.commit()
    assert rows(session, PLACES) == [("oracle_prices_default", 1), ("oracle_prices_p203103", 2)]
    found = list_history(session, "BTC/USD", start=MARCH.start, end=MARCH.plus(2).start, limit=10)
    assert [price.publish_time for price in found] == edges[::-1]


def test_making_months_again_makes_none(session: Session) -> None:
    made = ensure_partitions(session, now=LATER)
    assert made == ["oracle_prices_p203103", "oracle_prices_p203104", "oracle_prices_p203105"]
    assert ensure_partitions(session, now=LATER) == []


def test_a_made_month_is_as_good_as_a_migrated_one(database_url: str, session: Session, followed: None) -> None:
    ensure_partitions(session, now=LATER)
    session.commit()
    insert(session, LATER)
    session.commit()
    assert rows(session, PLACES) == [("oracle_prices_p203103", 1)]
    keys = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'oracle_prices_p203103'::regclass AND contype = 'f'"
    assert rows(session, keys) == [(1,)]
    command.check(migrations.alembic_config(database_url))


def test_two_who_make_the_same_month_do_not_collide(engine: Engine, session: Session) -> None:
    made = ensure_partitions(session, now=LATER)
    with ThreadPoolExecutor(1) as pool, Session(engine) as other:
        second = pool.submit(ensure_partitions, other, now=LATER)
        wait_until_blocked(engine)
        session.commit()
        assert second.result(10) == []
        other.commit()
    assert len(made) == 3


def test_a_refresh_and_the_making_of_months_wait_for_each_other(
    engine: Engine, session: Session, refresh: Refresh, prices: SignedPrices
) -> None:
    refresh()
    prices.put(message(BTC, publish_time=AT + 1))
    with ThreadPoolExecutor(1) as pool, Session(engine) as other:
        making = pool.submit(ensure_partitions, other, now=NOW)
        wait_until_blocked(engine)
        session.commit()
        assert "oracle_prices_p202701" in making.result(10)
        refreshing = pool.submit(refresh)
        wait_until_blocked(engine)
        other.commit()
        assert refreshing.result(10).recorded == (BTC,)
    session.commit()
    assert rows(session, PLACES) == [("oracle_prices_p202701", 4)]


def test_old_months_are_dropped_and_nothing_else(session: Session, followed: None) -> None:
    ensure_partitions(session, now=LATER, months=3)
    for ahead in range(4):
        insert(session, MARCH.plus(ahead).start)
    session.commit()
    june = Month(2031, 6).start
    dropped = drop_partitions(session, now=june, keep_months=1)
    session.commit()
    assert dropped[-2:] == ["oracle_prices_p203103", "oracle_prices_p203104"]
    assert rows(session, PLACES) == [("oracle_prices_p203105", 1), ("oracle_prices_p203106", 1)]
    assert drop_partitions(session, now=june, keep_months=1) == []
