"""Candles: kept with each recorded price, the same in whatever order prices come, and read over HTTP by pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from alembic import command
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from sqlalchemy import text
from sqlalchemy.orm import Session

import migrations
from app.core.errors import InvalidInput
from app.core.http.principal import Principal
from app.factory import create_app
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.oracle.errors import PriceMissing
from app.oracle.queries.prices import record_prices
from app.oracle.services import history
from app.oracle.services.history import list_candles, time_weighted_average
from app.oracle.types.prices import Candle, Interval, Price
from config.settings import Settings
from tests.conftest import settings_of
from tests.oracle.conftest import rows
from tests.oracle.updates import BTC, ETH

DAY = datetime(2027, 1, 15, tzinfo=UTC)
READER = Principal(id="user:reader", scopes=frozenset({"oracle:read"}), method="session")
Tick = tuple[int, int]  # seconds into the day, price


def price(at: datetime, value: int, feed: bytes = BTC, expo: int = -8) -> Price:
    return Price(
        feed=feed, price=value, conf=1, expo=expo, publish_time=at, ema_price=value, ema_conf=1, slot=1, sequence=1
    )


def record(session: Session, ticks: Sequence[Tick]) -> None:
    for second, value in ticks:
        record_prices(session, [price(DAY + timedelta(seconds=second), value)])


def candles(session: Session, interval: Interval = Interval.ONE_MINUTE) -> list[Candle]:
    found = list_candles(
        session, "BTC/USD", interval, start=DAY, end=DAY + timedelta(days=2), cursor=None, limit=10_000
    )
    return list(found.items)


def expected(ticks: Sequence[Tick], interval: Interval) -> list[Candle]:
    """Counted from scratch; the first price of a second stays."""
    first: dict[int, int] = {}
    for second, value in ticks:
        first.setdefault(second, value)
    buckets: dict[int, list[Tick]] = {}
    for second, value in sorted(first.items()):
        buckets.setdefault(second // interval.seconds, []).append((second, value))
    return [
        Candle(
            opened_at=DAY + timedelta(seconds=number * interval.seconds),
            open=Decimal(inside[0][1]).scaleb(-8),
            high=Decimal(max(value for _, value in inside)).scaleb(-8),
            low=Decimal(min(value for _, value in inside)).scaleb(-8),
            close=Decimal(inside[-1][1]).scaleb(-8),
            ticks=len(inside),
        )
        for number, inside in sorted(buckets.items(), reverse=True)
    ]


def test_each_price_enters_every_interval(session: Session, followed: None) -> None:
    record(session, [(0, 100), (59, 300), (60, 50), (86_399, 70)])
    assert candles(session, Interval.DAY) == expected([(0, 100), (59, 300), (60, 50), (86_399, 70)], Interval.DAY)
    assert [(one.opened_at, one.ticks) for one in candles(session)] == [
        (DAY + timedelta(seconds=86_340), 1),
        (DAY + timedelta(seconds=60), 1),
        (DAY, 2),
    ]
    assert rows(session, "SELECT DISTINCT interval_seconds FROM oracle_candles ORDER BY 1") == [
        (seconds,) for seconds in (60, 300, 900, 1800, 3600, 14_400, 86_400)
    ]


def test_a_late_price_may_open_a_candle_and_leaves_the_latest_price(session: Session, followed: None) -> None:
    record(session, [(30, 200), (50, 210), (10, 100), (40, 900)])
    (candle,) = candles(session)
    assert (candle.open, candle.high, candle.low, candle.close, candle.ticks) == (
        Decimal("0.00000100"),
        Decimal("0.00000900"),
        Decimal("0.00000100"),
        Decimal("0.00000210"),
        4,
    )
    assert rows(session, "SELECT price FROM oracle_feeds WHERE symbol = 'BTC/USD'") == [(210,)]


def test_a_price_that_comes_twice_counts_once(session: Session, followed: None) -> None:
    record(session, [(30, 200), (30, 999)])
    (candle,) = candles(session)
    assert (candle.high, candle.ticks) == (Decimal("0.00000200"), 1)


def test_another_exponent_is_the_same_scale(session: Session, followed: None) -> None:
    record_prices(session, [price(DAY, 5, expo=0)])
    record_prices(session, [price(DAY + timedelta(seconds=1), 510, expo=-2)])
    (candle,) = candles(session)
    assert (candle.open, candle.close) == (Decimal(5), Decimal("5.10"))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ticks=st.lists(st.tuples(st.integers(0, 90_000), st.integers(1, 10**12)), min_size=1, max_size=12),
    interval=st.sampled_from(Interval),
)
def test_candles_are_what_counting_from_scratch_gives_in_any_order(
    session: Session, followed: None, ticks: list[Tick], interval: Interval
) -> None:
    session.execute(text("DELETE FROM oracle_candles"))
    session.execute(text("DELETE FROM oracle_prices"))
    record(session, ticks)
    assert candles(session, interval) == expected(ticks, interval)


def test_the_migration_counts_what_was_recorded_before(session: Session, database_url: str, followed: None) -> None:
    ticks = [(0, 100), (61, 300), (3_700, 50)]
    record(session, ticks)
    session.commit()
    before = {interval: candles(session, interval) for interval in Interval}
    session.rollback()
    command.downgrade(migrations.alembic_config(database_url), "0014_oracle_sources")
    migrations.upgrade(database_url)
    assert {interval: candles(session, interval) for interval in Interval} == before


@pytest.mark.parametrize(
    ("start", "end", "average", "made_of"),
    [
        (0, 100, Decimal("0.00000150"), 2),  # 100 for 50 s, 200 for 50 s
        (25, 75, Decimal("0.00000150"), 2),
        (60, 100, Decimal("0.00000200"), 1),  # what held at the start counts
        (0, 50, Decimal("0.00000100"), 1),
    ],
)
def test_the_average_is_by_time(
    session: Session, followed: None, start: int, end: int, average: Decimal, made_of: int
) -> None:
    record(session, [(0, 100), (50, 200)])
    wad, count = time_weighted_average(
        session, "BTC/USD", start=DAY + timedelta(seconds=start), end=DAY + timedelta(seconds=end)
    )
    assert (Decimal(wad).scaleb(-18), count) == (average, made_of)


def test_there_is_no_average_where_no_price_held(session: Session, followed: None) -> None:
    record(session, [(0, 100)])
    for start, end in ((3_601, 3_700), (-100, 0), (50, 50)):
        with pytest.raises(PriceMissing):
            time_weighted_average(
                session, "BTC/USD", start=DAY + timedelta(seconds=start), end=DAY + timedelta(seconds=end)
            )


def test_too_long_an_average_is_refused(session: Session, followed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MAX_AVERAGED", 2)
    record(session, [(0, 1), (1, 1), (2, 1)])
    with pytest.raises(InvalidInput):
        time_weighted_average(session, "BTC/USD", start=DAY, end=DAY + timedelta(seconds=9))


@pytest.fixture
def get(
    database_url: str, cache: EmbeddedValkey, broker: EmbeddedValkey, redis: Redis
) -> Iterator[Callable[[str], Any]]:
    app: Flask = create_app(
        settings_of(database_url, cache, broker, Settings(_env_file=None).http), authenticate=lambda _: READER
    )
    client = app.test_client()
    yield lambda path: client.get(path, headers={"Authorization": "Bearer reader"})
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


def test_candles_are_read_by_pages(session: Session, followed: None, get: Callable[[str], Any]) -> None:
    record(session, [(60 * minute, 100 + minute) for minute in range(5)])
    record_prices(session, [price(DAY, 7, ETH)])
    session.commit()
    found, path = [], "/v1/candles/BTC/USD?limit=2&to=2027-01-16T00:00:00Z"
    while path:
        page = get(path)
        assert page.status_code == 200
        found += page.json["data"]
        path = page.headers.get("Link", "").partition(">")[0].removeprefix("<")
    assert [one["close"] for one in found] == ["0.00000104", "0.00000103", "0.00000102", "0.00000101", "0.00000100"]
    assert found[0] == {
        "opened_at": "2027-01-15T00:04:00Z",
        "closes_at": "2027-01-15T00:05:00Z",
        "open": "0.00000104",
        "high": "0.00000104",
        "low": "0.00000104",
        "close": "0.00000104",
        "ticks": 1,
        "final": False,
    }
    hour = get("/v1/candles/BTC/USD?interval=1h&to=2027-01-16T00:00:00Z").json["data"]
    assert [(one["open"], one["close"], one["ticks"]) for one in hour] == [("0.00000100", "0.00000104", 5)]
    average = get("/v1/prices/BTC/USD/average?from=2027-01-15T00:00:00Z&to=2027-01-15T00:02:00Z")
    assert (average.json["average"], average.json["prices"]) == ("0.000001005000000000", 2)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/candles/DOGE/USD", 404),
        ("/v1/candles/BTC/USD?interval=2m", 422),
        ("/v1/candles/BTC/USD?interval=", 422),
        ("/v1/candles/BTC/USD?cursor=x", 422),
        ("/v1/candles/BTC/USD?from=2027-01-02T00:00:00Z&to=2027-01-01T00:00:00Z", 422),
        ("/v1/prices/BTC/USD/average?to=1999", 422),
        ("/v1/prices/BTC/USD/average", 503),
        ("/v1/prices/DOGE/USD/average", 404),
    ],
)
def test_bad_questions_are_refused(followed: None, get: Callable[[str], Any], path: str, status: int) -> None:
    assert get(path).status_code == status


def test_a_cursor_is_good_for_its_own_interval_only(
    session: Session, followed: None, get: Callable[[str], Any]
) -> None:
    record(session, [(0, 1), (60, 1)])
    session.commit()
    cursor = get("/v1/candles/BTC/USD?limit=1&to=2027-01-16T00:00:00Z").json["next_cursor"]
    assert get(f"/v1/candles/BTC/USD?interval=5m&cursor={cursor}").status_code == 422
