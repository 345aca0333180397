"""The months of the price history, kept by operations: late ones, foreign keys, and a refresh at the same moment."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from alembic import command
from sqlalchemy import Engine
from sqlalchemy.orm import Session

import migrations
from app.core.clock import utc_now
from app.ops.maths.periods import Period
from app.ops.services.partitions import drop_old, make_ahead
from app.ops.services.prune import partitioned_tables
from app.ops.types import PeriodLength
from app.oracle.services.history import list_history
from tests.fakes.hermes import SignedPrices
from tests.oracle.conftest import Refresh, rows, wait_until_blocked
from tests.oracle.updates import AT, BTC, NOW, message

PLACES = "SELECT tableoid::regclass::text, count(*) FROM oracle_prices GROUP BY 1 ORDER BY 1"
(HISTORY,) = (
    table
    for table in partitioned_tables(archive_keep_days=1, price_keep_months=1, aggregate_keep_days=1)
    if table.name == "oracle_prices"
)
# The migration made two months around the day of the test; this one lies where it made none.
LATER = datetime(2031, 3, 14, tzinfo=UTC)
MARCH = Period.of(LATER, PeriodLength.MONTH)


def insert(session: Session, at: datetime) -> None:
    """A row of history."""
    rows(
        session,
        "INSERT INTO oracle_prices VALUES (:feed, :at, 1, 1, -8, 1, 1, 1, 1) RETURNING 1",
        feed=BTC,
        at=at,
    )


def test_the_migration_made_this_month_and_the_next(session: Session) -> None:
    this = Period.of(utc_now(), PeriodLength.MONTH)
    made = make_ahead(session, HISTORY, now=utc_now())
    assert made == [this.plus(2).partition("oracle_prices")]


def test_a_price_without_a_month_is_recorded_and_moved_when_the_month_is_made(session: Session, followed: None) -> None:
    edges = [MARCH.start, LATER, MARCH.plus(3).start]
    for moment in edges:
        insert(session, moment)
    session.commit()
    assert rows(session, PLACES) == [("oracle_prices_default", 3)]
    make_ahead(session, HISTORY, now=LATER)
    session.commit()
    assert rows(session, PLACES) == [("oracle_prices_default", 1), ("oracle_prices_p203103", 2)]
    found = list_history(session, "BTC/USD", start=MARCH.start, end=MARCH.plus(4).start, cursor=None, limit=10)
    assert [price.publish_time for price in found.items] == edges[::-1]


def test_a_made_month_is_as_good_as_a_migrated_one(database_url: str, session: Session) -> None:
    make_ahead(session, HISTORY, now=LATER)
    session.commit()
    keys = "SELECT count(*) FROM pg_constraint WHERE conrelid = 'oracle_prices_p203103'::regclass AND contype = 'f'"
    assert rows(session, keys) == [(1,)]
    command.check(migrations.alembic_config(database_url))


def test_a_refresh_and_the_making_of_months_wait_for_each_other(
    engine: Engine, session: Session, refresh: Refresh, prices: SignedPrices
) -> None:
    refresh()
    prices.put(message(BTC, publish_time=AT + 1))
    with ThreadPoolExecutor(1) as pool, Session(engine) as other:
        making = pool.submit(make_ahead, other, HISTORY, now=NOW)
        wait_until_blocked(engine)
        session.commit()
        assert "oracle_prices_p202701" in making.result(10)
        refreshing = pool.submit(refresh)
        wait_until_blocked(engine)
        other.commit()
        assert refreshing.result(10).recorded == (BTC,)
    session.commit()
    assert rows(session, PLACES) == [("oracle_prices_p202701", 4)]


def test_a_month_may_be_made_while_a_refresh_holds_its_feeds(
    engine: Engine, session: Session, refresh: Refresh, prices: SignedPrices
) -> None:
    """The two take the two tables in opposite orders, but never in modes that lock each other out for good."""
    with ThreadPoolExecutor(2) as pool, Session(engine) as maker:
        rows(session, "SELECT 1 FROM oracle_feeds WHERE id = :btc FOR UPDATE", btc=BTC)
        make_ahead(maker, HISTORY, now=NOW)
        inserting = pool.submit(insert, session, NOW)
        wait_until_blocked(engine)
        maker.commit()
        inserting.result(10)
        session.commit()
    assert rows(session, PLACES) == [("oracle_prices_p202701", 1)]


def test_old_months_are_dropped_and_nothing_else(session: Session, followed: None) -> None:
    make_ahead(session, HISTORY, now=LATER)
    for ahead in range(3):
        insert(session, MARCH.plus(ahead).start)
    insert(session, MARCH.plus(-1).start)
    session.commit()
    assert "oracle_prices_p203103" in drop_old(session, HISTORY, now=MARCH.plus(2).start)
    assert rows(session, PLACES) == [
        ("oracle_prices_default", 1),
        ("oracle_prices_p203104", 1),
        ("oracle_prices_p203105", 1),
    ]
