"""Refreshing: what is recorded, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.oracle.adapters import OracleParts
from app.oracle.errors import (
    FeedConflict,
    FeedUnknown,
    PriceFromTheFuture,
    PriceMissing,
    PriceStale,
    SourceRefused,
    UpdateInvalid,
)
from app.oracle.services.feeds import get_feeds, register_feeds
from app.oracle.services.refresh import refresh_prices
from app.oracle.types.prices import Feed
from contracts.guardians import GuardianSet
from tests.fakes.hermes import FakeHermes, SignedPrices, answer
from tests.oracle.conftest import Refresh, rows, wait_until_blocked
from tests.oracle.updates import AT, BTC, ETH, NOW, SEVEN, SOL, message

HISTORY = "SELECT feed, price, conf, expo, publish_time, slot FROM oracle_prices ORDER BY feed, publish_time"
LATEST = "SELECT id, price, conf, expo, publish_time, slot FROM oracle_feeds WHERE price IS NOT NULL ORDER BY id"
EVENTS = "SELECT topic, subject, payload FROM outbox ORDER BY id"
WRONG_SET = GuardianSet(index=SEVEN.index, keys=tuple(key[::-1] for key in SEVEN.keys))


def everything(session: Session) -> list[Any]:
    """All that a refresh may write."""
    return [rows(session, statement) for statement in (HISTORY, LATEST, EVENTS)]


def test_verified_prices_become_history_latest_price_and_event(session: Session, refresh: Refresh) -> None:
    summary = refresh()
    session.commit()
    assert set(summary.recorded) == {BTC, ETH, SOL}
    assert (summary.unchanged, summary.refused) == ((), {})
    history, latest, events = everything(session)
    assert [bytes(row[0]) for row in history] == sorted([BTC, ETH, SOL])
    assert history == latest
    btc = next(row for row in history if bytes(row[0]) == BTC)
    assert btc[1:] == (6_140_993_501_000, Decimal(3_287_868_567), -8, NOW, Decimal(2))
    told = next(payload for topic, subject, payload in events if subject == "0x" + BTC.hex())
    assert told == {
        "feed": "0x" + BTC.hex(),
        "symbol": "BTC/USD",
        "price": "61409.93501000",
        "confidence": "32.87868567",
        "publish_time": "2027-01-15T08:00:00Z",
        "slot": "2",
    }
    assert {topic for topic, _subject, _payload in events} == {"prices"}


def test_the_service_leaves_the_commit_to_its_caller(session: Session, refresh: Refresh) -> None:
    refresh()
    session.rollback()
    assert everything(session) == [[], [], []]


def test_a_price_that_is_known_is_not_recorded_again(session: Session, refresh: Refresh) -> None:
    refresh()
    session.commit()
    before = everything(session)
    assert set(refresh().unchanged) == {BTC, ETH, SOL}
    session.commit()
    assert everything(session) == before


def test_only_what_is_newer_becomes_the_latest_and_what_comes_late_is_history(
    session: Session, refresh: Refresh, prices: SignedPrices
) -> None:
    refresh()
    session.commit()
    prices.put(message(BTC, price=1, publish_time=AT - 1), message(ETH, price=2, publish_time=AT + 1))
    summary = refresh()
    session.commit()
    assert summary.recorded == (ETH,)
    assert set(summary.unchanged) == {BTC, SOL}
    assert dict(rows(session, "SELECT symbol, price FROM oracle_feeds")) == {
        "BTC/USD": 6_140_993_501_000,
        "ETH/USD": 2,
        "SOL/USD": 14_287_000_000,
    }
    assert rows(session, "SELECT count(*) FROM oracle_prices") == [(5,)]
    told = rows(session, "SELECT payload ->> 'symbol', count(*) FROM outbox GROUP BY 1 ORDER BY 1")
    assert told == [("BTC/USD", 1), ("ETH/USD", 2), ("SOL/USD", 1)]


def test_extreme_integers_are_kept_exactly(session: Session, refresh: Refresh, prices: SignedPrices) -> None:
    prices.put(message(BTC, price=-(2**63), conf=2**64 - 1, ema_price=2**63 - 1, ema_conf=2**64 - 1))
    refresh(["BTC/USD"])
    session.commit()
    (known,) = get_feeds(session, ["BTC/USD"])
    assert known.price is not None
    assert (known.price.price, known.price.conf) == (-(2**63), 2**64 - 1)
    assert (known.price.ema_price, known.price.ema_conf) == (2**63 - 1, 2**64 - 1)
    assert rows(session, "SELECT price, conf FROM oracle_prices") == [(-(2**63), Decimal(2**64 - 1))]


@pytest.mark.parametrize("names", [["BTC/USD"], ["0x" + BTC.hex()], ["0x" + BTC.hex().upper(), "BTC/USD"]])
def test_feeds_can_be_named(hermes: FakeHermes, refresh: Refresh, names: list[str]) -> None:
    assert refresh(names).recorded == (BTC,)
    ((_path, query, _headers),) = hermes.requests
    assert [value for name, value in query if name == "ids[]"] == [BTC.hex()]


def test_a_feed_that_is_not_followed_is_not_asked_for(hermes: FakeHermes, refresh: Refresh) -> None:
    with pytest.raises(FeedUnknown) as unknown:
        refresh(["BTC/USD", "DOGE/USD", "0x" + "ab" * 32])
    assert unknown.value.facts == {"feeds": ["DOGE/USD", "0x" + "ab" * 32]}
    assert hermes.requests == []


@pytest.mark.parametrize(
    ("changes", "reason"), [({"publish_time": AT - 61}, "stale"), ({"publish_time": AT + 6}, "from_the_future")]
)
def test_one_bad_feed_is_refused_alone(
    session: Session, refresh: Refresh, prices: SignedPrices, changes: dict[str, int], reason: str
) -> None:
    prices.put(message(SOL, **changes))
    summary = refresh()
    session.commit()
    assert summary.refused == {SOL: reason}
    assert set(summary.recorded) == {BTC, ETH}
    assert rows(session, "SELECT symbol FROM oracle_feeds WHERE price IS NULL") == [("SOL/USD",)]


def test_a_feed_that_the_source_lacks_is_refused_alone(refresh: Refresh, prices: SignedPrices) -> None:
    del prices.messages[SOL]
    summary = refresh()
    assert summary.refused == {SOL: "missing"}
    assert set(summary.recorded) == {BTC, ETH}


@pytest.mark.parametrize(
    ("publish_time", "error"), [(AT - 61, PriceStale), (AT + 6, PriceFromTheFuture), (None, PriceMissing)]
)
def test_when_nothing_is_left_the_reason_is_raised_and_nothing_changes(
    session: Session,
    refresh: Refresh,
    prices: SignedPrices,
    publish_time: int | None,
    error: type[Exception],
) -> None:
    refresh(["ETH/USD"])
    session.commit()
    before = everything(session)
    if publish_time is None:
        del prices.messages[BTC]
    else:
        prices.put(message(BTC, publish_time=publish_time))
    with pytest.raises(error) as refused:
        refresh(["BTC/USD"])
    assert refused.value.as_dict()["feeds"].keys() == {"BTC/USD"}
    session.commit()
    assert everything(session) == before


def test_tampered_update_data_changes_nothing(session: Session, refresh: Refresh, prices: SignedPrices) -> None:
    refresh()
    session.commit()
    before = everything(session)
    prices.guardians = WRONG_SET
    prices.put(message(BTC, price=1, publish_time=AT + 1))
    with pytest.raises(UpdateInvalid) as refused:
        refresh()
    assert refused.value.as_dict() == {
        "code": "oracle.update_invalid",
        "detail": "The price update was refused: wrong signer.",
        "retryable": False,
        "reason": "wrong_signer",
    }
    session.commit()
    assert everything(session) == before


def test_a_source_that_fails_changes_nothing(session: Session, refresh: Refresh, hermes: FakeHermes) -> None:
    hermes.faults.append(answer(403))
    with pytest.raises(SourceRefused):
        refresh()
    session.commit()
    assert everything(session) == [[], [], []]


def test_nothing_followed_is_nothing_to_do(session: Session, parts: OracleParts, hermes: FakeHermes) -> None:
    summary = refresh_prices(session, source=parts.source, trust=parts.trust, window=parts.window, clock=lambda: NOW)
    assert (summary.recorded, summary.unchanged, summary.refused) == ((), (), {})
    assert hermes.requests == []


def test_no_transaction_is_open_while_hermes_is_asked_and_the_clock_is_read_after(
    session: Session, engine: Engine, refresh: Refresh, prices: SignedPrices, hermes: FakeHermes, parts: OracleParts
) -> None:
    seen: list[Any] = []

    class Watching(SignedPrices):
        def latest(self, feeds: Sequence[bytes]) -> dict[str, Any]:
            with Session(engine) as other:
                seen.extend(
                    rows(
                        other,
                        "SELECT state FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL",
                    )
                )
            seen.append("asked")
            return super().latest(feeds)

    hermes.publisher = Watching(SEVEN, prices.messages.values())
    refresh_prices(
        session,
        source=parts.source,
        trust=parts.trust,
        window=parts.window,
        clock=lambda: seen.append("clock") or NOW,  # type: ignore[func-returns-value]
    )
    assert seen == ["asked", "clock"]


def test_two_refreshes_at_once_record_each_price_once(engine: Engine, session: Session, refresh: Refresh) -> None:
    refresh(["SOL/USD", "BTC/USD", "ETH/USD"])
    with ThreadPoolExecutor(1) as pool, Session(engine) as other:
        second = pool.submit(lambda: refresh(["ETH/USD", "SOL/USD", "BTC/USD"], on=other))
        wait_until_blocked(engine)
        session.commit()
        assert set(second.result(10).unchanged) == {BTC, ETH, SOL}
        other.commit()
    assert rows(session, "SELECT count(*) FROM oracle_prices") == [(3,)]
    assert rows(session, "SELECT count(*) FROM outbox") == [(3,)]


def test_a_feed_can_be_renamed_but_not_take_another_s_symbol(session: Session, refresh: Refresh) -> None:
    refresh()
    register_feeds(session, [Feed(BTC, "XBT/USD")])
    session.commit()
    (renamed,) = get_feeds(session, ["XBT/USD"])
    assert renamed.price is not None
    with pytest.raises(FeedConflict):
        register_feeds(session, [Feed(ETH, "XBT/USD")])


def test_a_price_of_a_feed_that_is_not_there_cannot_exist(session: Session) -> None:
    with pytest.raises(IntegrityError, match="fk_oracle_prices_feed"):
        rows(
            session,
            "INSERT INTO oracle_prices VALUES (:feed, :at, 1, 1, -8, 1, 1, 1, 1) RETURNING 1",
            feed=BTC,
            at=NOW - timedelta(days=1),
        )
