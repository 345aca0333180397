"""Reading prices: validity, the cache and its absence, history, and updates for a transaction."""

from __future__ import annotations

import socket
import time
from dataclasses import replace
from datetime import timedelta

import pytest
from redis import Redis
from sqlalchemy.orm import Session

from app.core.errors import InvalidInput
from app.core.paging import Page
from app.core.redis import make_redis
from app.ops.adapters.process import free_port
from app.ops.services.partitions import make_ahead
from app.ops.types import PartitionedTable, PeriodLength
from app.oracle.adapters import OracleParts
from app.oracle.adapters.price_cache import KEY, PriceCache
from app.oracle.errors import (
    ConfidenceTooWide,
    FeedUnknown,
    PriceFromTheFuture,
    PriceMissing,
    PriceNotPositive,
    PriceStale,
    UpdateInvalid,
)
from app.oracle.maths.pnau import parse_update
from app.oracle.maths.verification import verify_answer
from app.oracle.services.feeds import register_feeds
from app.oracle.services.history import list_history
from app.oracle.services.read import get_quotes, usable_price
from app.oracle.services.transaction import latest_update
from app.oracle.types.prices import Action, Feed, Price, Validity
from app.oracle.types.updates import TransactionUpdate
from contracts.pnau import PriceMessage
from tests.fakes.hermes import FakeHermes, SignedPrices
from tests.oracle.conftest import Refresh, rows
from tests.oracle.test_refresh import WRONG_SET
from tests.oracle.updates import AT, BTC, ETH, NOW, SOL, message, trust_in

DOGE = Feed(bytes([0xD0]) * 32, "DOGE/USD")


def test_a_quote_says_what_the_price_is_good_for(session: Session, refresh: Refresh, parts: OracleParts) -> None:
    refresh()
    quotes = get_quotes(session, rules=parts.rules, now=NOW + timedelta(minutes=2))
    assert [quote.feed.symbol for quote in quotes] == ["BTC/USD", "ETH/USD", "SOL/USD"]
    assert quotes[0].price is not None
    assert quotes[0].price.price == 6_140_993_501_000
    assert quotes[0].validity == {
        Action.OPEN: Validity.STALE,
        Action.MARGIN: Validity.STALE,
        Action.LIQUIDATE: Validity.FRESH,
        Action.FUNDING: Validity.FRESH,
    }
    assert usable_price(quotes[0], Action.LIQUIDATE) is quotes[0].price
    with pytest.raises(PriceStale) as stale:
        usable_price(quotes[0], Action.OPEN)
    assert stale.value.facts == {"feed": "0x" + BTC.hex(), "symbol": "BTC/USD", "action": "open"}


@pytest.mark.parametrize(
    ("change", "seconds", "error"),
    [
        (message(BTC, conf=10**15), 0, ConfidenceTooWide),
        (message(BTC, price=0), 0, PriceNotPositive),
        (message(BTC), 61, PriceStale),
        (message(BTC), -6, PriceFromTheFuture),
        (None, 0, PriceMissing),
    ],
)
def test_a_price_that_is_not_valid_is_not_given_out(
    session: Session,
    refresh: Refresh,
    prices: SignedPrices,
    parts: OracleParts,
    change: PriceMessage | None,
    seconds: int,
    error: type[Exception],
) -> None:
    if change is not None:
        prices.put(change)
        refresh(["BTC/USD"])
    (quote,) = get_quotes(session, rules=parts.rules, now=NOW + timedelta(seconds=seconds), names=["BTC/USD"])
    with pytest.raises(error):
        usable_price(quote, Action.OPEN)


def test_quotes_by_name(session: Session, refresh: Refresh, parts: OracleParts) -> None:
    refresh()
    for cache in (None, parts.cache, parts.cache):
        names = ["SOL/USD", "0x" + BTC.hex(), "SOL/USD"]
        found = get_quotes(session, rules=parts.rules, now=NOW, names=names, cache=cache)
        assert sorted(quote.feed.symbol for quote in found) == ["BTC/USD", "SOL/USD"]
        with pytest.raises(FeedUnknown):
            get_quotes(session, rules=parts.rules, now=NOW, names=["SOL/USD", "NOPE"], cache=cache)


def test_a_cached_read_asks_no_table_until_it_expires(
    session: Session, refresh: Refresh, parts: OracleParts, redis: Redis
) -> None:
    refresh()
    session.commit()
    first = get_quotes(session, rules=parts.rules, now=NOW, cache=parts.cache)
    rows(session, "UPDATE oracle_feeds SET price = 7 RETURNING 1")
    assert get_quotes(session, rules=parts.rules, now=NOW, cache=parts.cache) == first
    assert 8_000 < redis.pttl(KEY) <= 10_000
    stale = get_quotes(session, rules=parts.rules, now=NOW + timedelta(minutes=9), cache=parts.cache)
    assert {quote.validity[Action.OPEN] for quote in stale} == {Validity.STALE}
    redis.delete(KEY)
    again = get_quotes(session, rules=parts.rules, now=NOW, cache=parts.cache)
    assert {quote.price.price for quote in again if quote.price} == {7}


def test_a_feed_registered_since_is_found_past_the_cache(
    session: Session, refresh: Refresh, parts: OracleParts
) -> None:
    get_quotes(session, rules=parts.rules, now=NOW, cache=parts.cache)
    register_feeds(session, [DOGE])
    (found,) = get_quotes(session, rules=parts.rules, now=NOW, names=["DOGE/USD"], cache=parts.cache)
    assert found.price is None
    assert set(found.validity.values()) == {Validity.MISSING}


def test_reads_go_on_without_the_cache(session: Session, refresh: Refresh, parts: OracleParts) -> None:
    refresh()
    expected = get_quotes(session, rules=parts.rules, now=NOW)
    gone = PriceCache(make_redis(f"redis://127.0.0.1:{free_port()}/0"), 10)
    assert get_quotes(session, rules=parts.rules, now=NOW, cache=gone) == expected


def test_a_cache_that_hangs_costs_one_read_its_time_and_not_every_read(
    session: Session, refresh: Refresh, parts: OracleParts
) -> None:
    refresh()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        hung = PriceCache(make_redis(f"redis://127.0.0.1:{port}/0", timeout_seconds=0.2), 10)
        started = time.monotonic()
        for _ in range(20):
            assert len(get_quotes(session, rules=parts.rules, now=NOW, cache=hung)) == 3
        assert time.monotonic() - started < 2.0


def test_what_cannot_be_read_in_the_cache_counts_as_nothing(
    session: Session, refresh: Refresh, parts: OracleParts, redis: Redis
) -> None:
    refresh()
    redis.set(KEY, b'[{"feed": "of another deployment"}]')
    assert len(get_quotes(session, rules=parts.rules, now=NOW, cache=parts.cache)) == 3


def test_a_cache_of_no_seconds_is_off(session: Session, refresh: Refresh, parts: OracleParts, redis: Redis) -> None:
    refresh()
    get_quotes(session, rules=parts.rules, now=NOW, cache=PriceCache(redis, 0))
    assert not redis.exists(KEY)


def test_history_is_newest_first_and_half_open(session: Session, refresh: Refresh, prices: SignedPrices) -> None:
    make_ahead(
        session,
        PartitionedTable("oracle_prices", "publish_time", PeriodLength.MONTH, 0, 1),
        now=NOW + timedelta(days=20),
    )
    session.commit()
    moments = [NOW + timedelta(days=days) for days in range(0, 40, 10)]
    for number, moment in enumerate(moments):
        prices.put(message(BTC, price=number + 1, publish_time=int(moment.timestamp())))
        refresh(["BTC/USD"], now=moment)
        session.commit()
    places = rows(session, "SELECT DISTINCT tableoid::regclass::text FROM oracle_prices ORDER BY 1")
    assert places == [("oracle_prices_default",), ("oracle_prices_p202702",)]

    def read(name: str, limit: int, cursor: str | None = None) -> Page[Price]:
        return list_history(session, name, start=moments[0], end=moments[3], cursor=cursor, limit=limit)

    found = read("BTC/USD", 10)
    assert [price.price for price in found.items] == [3, 2, 1]
    assert found.next_cursor is None
    first = read("0x" + BTC.hex(), 2)
    rest = read("BTC/USD", 2, first.next_cursor)
    assert [*first.items, *rest.items] == found.items
    with pytest.raises(InvalidInput):
        read("ETH/USD", 2, first.next_cursor)
    with pytest.raises(FeedUnknown):
        read("NOPE", 2)


def update_for(parts: OracleParts, *feeds: bytes) -> TransactionUpdate:
    """An update of these feeds at `NOW`."""
    return latest_update(parts.source, feeds, trust=parts.trust, window=parts.window, clock=lambda: NOW)


def test_an_update_for_a_transaction_comes_fresh_and_verified(
    session: Session, refresh: Refresh, parts: OracleParts, prices: SignedPrices, hermes: FakeHermes
) -> None:
    refresh()
    prices.put(message(ETH, price=9, publish_time=AT + 1))
    update = update_for(parts, BTC, ETH)
    assert update.message_count == 2
    assert len(update.data) == 2  # two slots, two blobs
    assert {price.feed: price.price for price in update.prices} == {BTC: 6_140_993_501_000, ETH: 9}
    assert verify_answer([parse_update(blob) for blob in update.data], [BTC, ETH], trust_in(), NOW)
    assert len(hermes.requests) == 2


def test_an_update_is_all_or_nothing(parts: OracleParts, prices: SignedPrices) -> None:
    prices.put(message(SOL, publish_time=AT - 61))
    assert update_for(parts, BTC).prices
    with pytest.raises(PriceStale):
        update_for(parts, BTC, SOL)
    prices.put(message(SOL, publish_time=AT + 6))
    with pytest.raises(PriceFromTheFuture):
        update_for(parts, BTC, SOL)
    with pytest.raises(PriceMissing) as missing:
        update_for(parts, BTC, DOGE.id)
    assert missing.value.facts == {"feeds": ["0x" + DOGE.id.hex()]}
    prices.guardians = WRONG_SET
    with pytest.raises(UpdateInvalid):
        update_for(parts, BTC)
    expired = replace(parts.trust, signers=replace(parts.trust.signers, expires_at=NOW - timedelta(seconds=1)))
    with pytest.raises(UpdateInvalid):
        latest_update(parts.source, [BTC], trust=expired, window=parts.window, clock=lambda: NOW)
