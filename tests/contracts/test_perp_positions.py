"""Opening, changing and closing positions: what is paid, what is kept, and every refusal."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest

from contracts.feeds import FEEDS
from contracts.markets import MAJOR, WAD
from contracts.pnau import PriceMessage, encode_prices
from tests.contracts.exchange import BTC, NO_LIMIT_DOWN, NO_LIMIT_UP, Exchange, wad

pytestmark = pytest.mark.chain

FEE_RATE = Fraction(MAJOR.open_fee_rate, WAD)


def test_opening_takes_the_fee_from_the_collateral_and_says_everything(exchange: Exchange) -> None:
    before = exchange.balance(exchange.alice)
    pool = exchange.view("pool")
    mined = exchange.trade("open", BTC, True, wad("1.5"), wad("5000"), NO_LIMIT_UP, at="61409.93501")
    fee = ceil(wad("1.5") * wad("61409.93501") * FEE_RATE / WAD)
    assert mined.one("PositionOpened") == {
        "position_id": 1,
        "owner": exchange.alice,
        "market_id": BTC,
        "is_long": True,
        "size": wad("1.5"),
        "entry_price": wad("61409.93501"),
        "collateral": wad("5000") - fee,
        "fee": fee,
        "entry_funding_index": 0,
        "price_publish_time": mined.timestamp,
    }
    assert exchange.position(1) == {
        "owner": exchange.alice,
        "market_id": BTC,
        "is_long": True,
        "size": wad("1.5"),
        "collateral": wad("5000") - fee,
        "entry_price": wad("61409.93501"),
        "entry_funding_index": 0,
    }
    assert exchange.market(BTC)["long_open_interest"] == wad("1.5")
    assert exchange.view("pool") == pool + fee
    assert exchange.balance(exchange.alice) == before - wad("5000")
    assert exchange.view("position_count") == 1


@pytest.mark.parametrize(
    ("is_long", "exit_price"), [(True, "62000"), (True, "60500"), (False, "60500"), (False, "62000")]
)
def test_closing_pays_collateral_and_profit_less_the_fee(exchange: Exchange, is_long: bool, exit_price: str) -> None:
    # A size and prices whose products do not divide: the rounding shows.
    size = "0.333333333333333333"
    position_id = exchange.open(is_long, size, "3000", at="61409.93501001")
    collateral = exchange.position(position_id)["collateral"]
    before, pool = exchange.balance(exchange.alice), exchange.view("pool")
    limit = NO_LIMIT_DOWN if is_long else NO_LIMIT_UP
    closed = exchange.trade("close", position_id, limit, at=exit_price, after=1).one("PositionClosed")

    sign = 1 if is_long else -1
    pnl = floor(Fraction(sign * wad(size) * (wad(exit_price) - wad("61409.93501001")), WAD))
    fee = ceil(Fraction(wad(size) * wad(exit_price) * MAJOR.close_fee_rate, WAD * WAD))
    assert closed == {
        "position_id": position_id,
        "owner": exchange.alice,
        "market_id": BTC,
        "is_long": is_long,
        "exit_price": wad(exit_price),
        "size": wad(size),
        "realized_pnl": pnl,
        "funding_paid": 0,
        "fee": fee,
        "payout": collateral + pnl - fee,
    }
    assert exchange.balance(exchange.alice) == before + collateral + pnl - fee
    assert exchange.view("pool") == pool - pnl + fee
    assert exchange.view("total_collateral") == 0
    assert exchange.position(position_id)["size"] == 0
    assert exchange.market(BTC)["long_open_interest"] == exchange.market(BTC)["short_open_interest"] == 0


@pytest.mark.parametrize(
    ("arguments", "price", "options", "reason"),
    [
        ((99, True, WAD, 5000 * WAD, NO_LIMIT_UP), "61000", {}, "unknown market"),
        ((0, True, WAD, 5000 * WAD, NO_LIMIT_UP), "61000", {}, "unknown market"),
        ((BTC, True, 0, 5000 * WAD, NO_LIMIT_UP), "61000", {}, "zero size"),
        ((BTC, True, 10**30 + 1, 5000 * WAD, NO_LIMIT_UP), "61000", {}, "size too large"),
        ((BTC, True, WAD, 5000 * WAD, NO_LIMIT_UP), "61000", {"conf": "610.01"}, "confidence"),
        ((BTC, True, WAD, 5000 * WAD, 60_999 * WAD), "61000", {}, "price limit"),
        ((BTC, False, WAD, 5000 * WAD, 61_001 * WAD), "61000", {}, "price limit"),
        ((BTC, True, WAD, wad("30.5"), NO_LIMIT_UP), "61000", {}, "collateral below fee"),
        ((BTC, True, WAD, 1250 * WAD, NO_LIMIT_UP), "61000", {}, "leverage"),
        ((BTC, True, WAD, 2 * 10**9 * WAD, NO_LIMIT_UP), "61000", {}, "balance"),
    ],
)
def test_what_opening_refuses(
    exchange: Exchange, arguments: tuple[Any, ...], price: str, options: dict[str, Any], reason: str
) -> None:
    if arguments[0] not in (BTC,):
        data = [exchange.price(BTC, price, publish_time=exchange.now + 1)]
        assert exchange.refusal(exchange.perp, "open", *arguments, data, sender=exchange.alice, value=1) == reason
    else:
        assert exchange.trade_refusal("open", *arguments, at=price, **options) == reason
    assert exchange.view("position_count") == 0


def test_the_most_leverage_is_exact(exchange: Exchange) -> None:
    # 61 000 at 50 times is 1 220 after the fee of 30.5; one wei less is refused, and neither is liquidatable at once.
    least = wad("1220") + wad("30.5")
    assert exchange.trade_refusal("open", BTC, True, WAD, least - 1, NO_LIMIT_UP, at="61000") == "leverage"
    exchange.trade("open", BTC, True, WAD, least, NO_LIMIT_UP, at="61000")
    assert exchange.view("equity", 1) == wad("1220")
    assert not exchange.view("is_liquidatable", 1)


def test_a_price_limit_is_met_at_equality(exchange: Exchange) -> None:
    exchange.trade("open", BTC, True, WAD, wad("5000"), wad("61000"), at="61000")
    exchange.trade("open", BTC, False, WAD, wad("5000"), wad("61000"), at="61000")
    assert exchange.trade_refusal("close", 1, wad("61000.00000001"), at="61000") == "price limit"
    assert exchange.trade_refusal("close", 2, wad("60999.99999999"), at="61000") == "price limit"
    exchange.trade("close", 1, wad("61000"), at="61000")
    exchange.trade("close", 2, wad("61000"), at="61000")


def test_confidence_is_met_at_equality_and_does_not_hold_up_closing(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "5000", at="61000", conf="610")
    assert exchange.trade_refusal("modify_collateral", position_id, -1, at="61000", conf="610.00000001") == "confidence"
    exchange.trade("modify_collateral", position_id, 1, at="61000", conf="6100")
    exchange.trade("close", position_id, 0, at="61000", conf="6100")


def test_collateral_is_added_and_withdrawn(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "5000", at="61000")
    held = exchange.position(position_id)["collateral"]
    before = exchange.balance(exchange.alice)
    added = exchange.trade("modify_collateral", position_id, wad("100"), at="61000").one("CollateralChanged")
    assert added == {
        "position_id": position_id,
        "owner": exchange.alice,
        "market_id": BTC,
        "delta": wad("100"),
        "collateral": held + wad("100"),
    }
    taken = exchange.trade("modify_collateral", position_id, -wad("350"), at="61000").one("CollateralChanged")
    assert (taken["delta"], taken["collateral"]) == (-wad("350"), held - wad("250"))
    assert exchange.position(position_id)["collateral"] == held - wad("250") == exchange.view("total_collateral")
    assert exchange.balance(exchange.alice) == before + wad("250")


def test_withdrawing_stops_at_the_initial_margin_of_the_equity(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "5000", at="61000")
    held = exchange.position(position_id)["collateral"]
    # At 61 100 the profit of 100 counts, and the margin is 61 100 / 50 = 1 222.
    most = held + wad("100") - wad("1222")
    assert exchange.trade_refusal("modify_collateral", position_id, -most - 1, at="61100") == "leverage"
    exchange.trade("modify_collateral", position_id, -most, at="61100")
    assert exchange.view("equity", position_id) == wad("1222")


def test_what_changing_collateral_refuses(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "5000", at="61000")
    refusal = exchange.trade_refusal
    assert refusal("modify_collateral", 7, 1, at="61000") == "no position"
    assert refusal("modify_collateral", position_id, 1, at="61000", sender=exchange.bob) == "not owner"
    assert refusal("modify_collateral", position_id, 0, at="61000") == "zero amount"
    assert refusal("modify_collateral", position_id, -wad("5000"), at="90000") == "collateral too small"
    assert refusal("modify_collateral", position_id, 2 * 10**9 * WAD, at="61000") == "balance"


def test_what_closing_refuses(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "5000", at="61000")
    refusal = exchange.trade_refusal
    assert refusal("close", 7, 0, at="61000") == "no position"
    assert refusal("close", position_id, 0, at="61000", sender=exchange.bob) == "not owner"
    # The collateral after the opening fee is 4 969.5; a loss and the closing fee beyond it cannot be paid.
    assert refusal("close", position_id, 0, at="56030") == "insolvent"
    assert refusal("close", position_id, 0, at="56050") == "insolvent"
    exchange.trade("close", position_id, 0, at="56060")
    assert refusal("close", position_id, 0, at="61000") == "no position"


def test_the_pool_never_pays_what_it_does_not_have(exchange: Exchange) -> None:
    size = "100000"
    position_id = exchange.open(True, size, "200000000", at="61000")
    # The pool's 50 million and the fee of 3.05 million are less than a profit of 60 million.
    assert exchange.trade_refusal("close", position_id, 0, at="61600") == "pool too small"
    exchange.trade("close", position_id, 0, at="61400")


def test_prices_are_paid_for_and_the_excess_returned(exchange: Exchange) -> None:
    data = [exchange.price(market, "100", publish_time=exchange.now + 1) for market in (1, 2, 3)]
    perp = exchange.perp
    arguments = ("settle_funding", BTC, data)
    assert exchange.refusal(perp, *arguments, sender=exchange.alice, value=2) == "update fee"
    fees, ether = exchange.w3.eth.get_balance(exchange.pyth.address), exchange.w3.eth.get_balance(perp.address)
    exchange.send(perp, *arguments, sender=exchange.alice, value=10**18)
    assert exchange.w3.eth.get_balance(exchange.pyth.address) == fees + 3
    assert exchange.w3.eth.get_balance(perp.address) == ether == 0


def test_a_stored_price_serves_while_it_is_fresh(exchange: Exchange) -> None:
    arguments = (BTC, True, WAD, wad("5000"), NO_LIMIT_UP, [])
    perp, alice = exchange.perp, exchange.alice
    assert exchange.refusal(perp, "open", *arguments, sender=alice) == "0x14aebe68"  # PriceFeedNotFound
    exchange.trade("settle_funding", BTC, at="61000")
    exchange.send(perp, "open", *arguments, sender=alice, value=5)
    assert exchange.w3.eth.get_balance(perp.address) == 0
    assert exchange.refusal(perp, "open", *arguments, sender=alice, after=60) == "0x19abf40e"  # StalePrice
    exchange.send(perp, "open", *arguments, sender=alice, after=59)


def test_an_older_price_does_not_replace_a_newer_one(exchange: Exchange) -> None:
    exchange.trade("settle_funding", BTC, at="61000")
    old = [exchange.price(BTC, "1", publish_time=exchange.now - 1)]
    settled = exchange.send(exchange.perp, "settle_funding", BTC, old, sender=exchange.alice, value=1)
    assert settled.one("FundingSettled")["price"] == wad("61000")


@pytest.mark.parametrize(
    ("price", "expo", "reason"),
    [
        (0, -8, "price not positive"),
        (-5, -8, "price not positive"),
        (5, 1, "price exponent"),
        (5, -19, "price exponent"),
        (10**10 + 1, 0, "price too large"),
    ],
)
def test_prices_that_no_trade_may_use(exchange: Exchange, price: int, expo: int, reason: str) -> None:
    at = exchange.now + 1
    data = [encode_prices([PriceMessage(FEEDS[0].price_id, price, 0, expo, at, at - 1, price, 0)])]
    refusal = exchange.refusal(exchange.perp, "settle_funding", BTC, data, sender=exchange.alice, value=1)
    assert refusal == reason


@pytest.mark.parametrize("expo", [0, -5, -18])
def test_any_exponent_from_0_to_minus_18_is_the_same_wad(exchange: Exchange, expo: int) -> None:
    at = exchange.now + 1
    data = [encode_prices([PriceMessage(FEEDS[0].price_id, 7, 0, expo, at, at - 1, 7, 0)])]
    settled = exchange.send(exchange.perp, "settle_funding", BTC, data, sender=exchange.alice, value=1)
    assert settled.one("FundingSettled")["price"] == 7 * 10 ** (18 + expo)
