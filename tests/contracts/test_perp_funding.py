"""Funding: the indexes against exact fractions, the payments they lead to, and the views."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import pytest

from contracts.markets import MAJOR, WAD
from tests.contracts.exchange import BTC, ETH, NO_LIMIT_DOWN, NO_LIMIT_UP, Exchange, wad

pytestmark = pytest.mark.chain


def rate(longs: int, shorts: int) -> int:
    """The rate a second (wad, positive: longs pay), from the definition."""
    if not longs or not shorts:
        return 0
    exact = min(
        Fraction(MAJOR.funding_factor_per_second * abs(longs - shorts), longs + shorts),
        Fraction(MAJOR.max_funding_rate_per_second),
    )
    return floor(exact) if longs > shorts else -floor(exact)


def growth(longs: int, shorts: int, seconds: int, price: int) -> tuple[int, int]:
    """How far both indexes move: what a whole unit of each side owes, the payer's up and the receiver's down."""
    paid = ceil(Fraction(abs(rate(longs, shorts)) * seconds * price, WAD))
    if paid == 0:
        return 0, 0
    received = floor(Fraction(paid * max(longs, shorts), min(longs, shorts)))
    return (paid, -received) if longs > shorts else (-received, paid)


@pytest.mark.parametrize(
    ("longs", "shorts", "price", "seconds"),
    [
        ("3", "1", "60000", 3600),
        ("1", "3", "60000", 3600),
        ("1.7", "1.1", "61409.93501001", 1),
        ("0.333333333333333333", "0.1", "0.00000001", 17),
        ("1", "1", "60000", 3600),
        ("1000", "0.000000000000000003", "60000", 86_400),
    ],
)
def test_the_indexes_follow_the_definition(
    exchange: Exchange, longs: str, shorts: str, price: str, seconds: int
) -> None:
    exchange.open(True, longs, "100000000", at="60000")
    exchange.open(False, shorts, "100000000", at="60000")
    before = exchange.market(BTC)
    mined = exchange.trade("settle_funding", BTC, at=price, after=seconds, sender=exchange.keeper)
    long_growth, short_growth = growth(wad(longs), wad(shorts), seconds, wad(price))
    assert mined.one("FundingSettled") == {
        "market_id": BTC,
        "rate_per_second": rate(wad(longs), wad(shorts)),
        "long_funding_index": before["long_funding_index"] + long_growth,
        "short_funding_index": before["short_funding_index"] + short_growth,
        "long_open_interest": wad(longs),
        "short_open_interest": wad(shorts),
        "price": wad(price),
        "elapsed_seconds": seconds,
        "settled_at": mined.timestamp,
    }
    after = exchange.market(BTC)
    assert after["long_funding_index"] == before["long_funding_index"] + long_growth
    assert after["short_funding_index"] == before["short_funding_index"] + short_growth
    assert after["funding_settled_at"] == mined.timestamp


def test_the_rate_is_capped(exchange: Exchange) -> None:
    steep = MAJOR._replace(funding_factor_per_second=10**12)
    exchange.trade("update_market", BTC, steep, at="60000", sender=exchange.owner)
    exchange.open(False, "3", "100000", at="60000")
    assert exchange.view("funding_rate_per_second", BTC) == 0
    exchange.open(True, "1", "100000", at="60000")
    assert exchange.view("funding_rate_per_second", BTC) == -MAJOR.max_funding_rate_per_second


def test_one_side_alone_pays_nothing_but_time_is_accounted(exchange: Exchange) -> None:
    exchange.open(True, "3", "100000", at="60000")
    event = exchange.trade("settle_funding", BTC, at="60000", after=3600).one("FundingSettled")
    assert (event["rate_per_second"], event["long_funding_index"], event["elapsed_seconds"]) == (0, 0, 3600)
    # When the other side comes, the lonely time is not charged to anybody.
    exchange.open(False, "1", "100000", at="60000", after=3600)
    assert exchange.market(BTC)["long_funding_index"] == exchange.market(BTC)["short_funding_index"] == 0


def test_no_time_no_event(exchange: Exchange) -> None:
    exchange.trade("settle_funding", BTC, at="60000")
    again = exchange.send(exchange.perp, "settle_funding", BTC, [], sender=exchange.keeper, after=0)
    assert again.events == []


def test_markets_do_not_mix(exchange: Exchange) -> None:
    exchange.open(True, "3", "100000", at="60000")
    exchange.open(False, "1", "100000", at="60000")
    mined = exchange.trade("settle_funding", ETH, at="3000", after=3600)
    assert [event.args["market_id"] for event in mined.events if event.name == "FundingSettled"] == [ETH]
    assert exchange.market(BTC)["long_funding_index"] == 0


@pytest.mark.parametrize("longs_crowd", [True, False])
def test_the_payers_pay_at_least_what_the_receivers_get(exchange: Exchange, longs_crowd: bool) -> None:
    # Sizes that do not divide each other: rounding must fall to the pool, not out of it.
    crowd = [exchange.open(longs_crowd, size, "50000", at="60000") for size in ("1.1", "0.7", "0.3333333")]
    lone = [exchange.open(not longs_crowd, size, "50000", at="60000") for size in ("0.123456789", "0.3")]
    exchange.trade("settle_funding", BTC, at="61234.56789", after=7 * 3600)
    entries = {position_id: exchange.position(position_id) for position_id in crowd + lone}
    # The last settlement has no further time in it: close everything in its second.
    paid = {}
    for position_id in crowd + lone:
        limit = NO_LIMIT_DOWN if entries[position_id]["is_long"] else NO_LIMIT_UP
        closed = exchange.send(exchange.perp, "close", position_id, limit, [], sender=exchange.alice, after=0)
        paid[position_id] = closed.one("PositionClosed")["funding_paid"]
    market = exchange.market(BTC)
    for position_id, entry in entries.items():
        index = market["long_funding_index" if entry["is_long"] else "short_funding_index"]
        exact = Fraction(entry["size"] * (index - entry["entry_funding_index"]), WAD)
        assert paid[position_id] == ceil(exact)
    assert all(paid[position_id] > 0 for position_id in crowd)
    assert all(paid[position_id] < 0 for position_id in lone)
    # Everyone opened within five seconds of hours: the totals agree but for those seconds and the rounding.
    assert 0 <= sum(paid.values()) < wad("0.01")
    assert exchange.view("accounted_balance") == exchange.balance(exchange.perp.address)


def test_the_views_look_ahead_to_now_without_writing(exchange: Exchange) -> None:
    position_id = exchange.open(True, "3", "100000", at="60000")
    exchange.open(False, "1", "100000", at="60000")
    settled = exchange.market(BTC)
    exchange.rpc("evm_setNextBlockTimestamp", exchange.now + 500)
    exchange.rpc("evm_mine")
    long_growth, short_growth = growth(3 * WAD, WAD, 500, wad("60000"))
    assert tuple(exchange.view("funding_index_now", BTC)) == (long_growth, short_growth)
    assert exchange.market(BTC) == settled
    position = exchange.position(position_id)
    owed = ceil(Fraction(position["size"] * (long_growth - position["entry_funding_index"]), WAD))
    assert exchange.view("equity", position_id) == position["collateral"] - owed
    assert exchange.view("funding_rate_per_second", BTC) == MAJOR.funding_factor_per_second // 2
