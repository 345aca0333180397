"""The owner's part: markets and their parameters, the pause, and the two deposited balances."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.feeds import FEEDS
from contracts.markets import MAJOR, MINOR, WAD
from tests.contracts.exchange import BTC, NO_LIMIT_UP, SOL, Exchange, wad

pytestmark = pytest.mark.chain


def test_the_deployed_markets_are_in_the_events_and_in_the_views(exchange: Exchange) -> None:
    added = [event.args for event in exchange.all_events() if event.name == "MarketAdded"]
    assert [event["symbol"] for event in added] == ["BTC-USD", "ETH-USD", "SOL-USD"]
    assert exchange.view("market_count") == 3
    assert exchange.deployment.markets == {event["symbol"]: event["market_id"] for event in added}
    for feed, event in zip(FEEDS, added, strict=True):
        market = exchange.market(event["market_id"])
        named = {name: market[name] for name in ("symbol", "base_token", "quote_token", "pyth_price_id")}
        assert event == {"market_id": event["market_id"], **named, **market["parameters"]._asdict()}
        assert named["pyth_price_id"] == feed.price_id
        assert (market["long_open_interest"], market["long_funding_index"]) == (0, 0)
    assert exchange.market(SOL)["parameters"] == MINOR


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_leverage": WAD - 1}, "max leverage"),
        ({"max_leverage": 1000 * WAD + 1}, "max leverage"),
        ({"maintenance_margin_rate": 0}, "margin rates"),
        ({"maintenance_margin_rate": WAD}, "margin rates"),
        ({"liquidation_fee_rate": 2**256 - 1}, "margin rates"),
        # 50 times leaves 2 % of margin: maintenance and bonus together must stay below.
        ({"maintenance_margin_rate": WAD * 15 // 1000}, "margin rates"),
        ({"open_fee_rate": WAD // 10 + 1}, "fee rates"),
        ({"close_fee_rate": WAD // 10 + 1}, "fee rates"),
        ({"funding_factor_per_second": WAD + 1}, "funding rates"),
        ({"max_funding_rate_per_second": 10**14 + 1}, "funding rates"),
        ({"max_price_age_seconds": 4}, "price age"),
        ({"max_confidence_bps": 0}, "confidence limit"),
        ({"max_confidence_bps": 10_001}, "confidence limit"),
    ],
)
def test_parameters_that_no_market_may_have(exchange: Exchange, changes: dict[str, int], reason: str) -> None:
    parameters = MAJOR._replace(**changes)
    named = ("DOGE-USD", "DOGE", "USD", FEEDS[0].price_id, parameters)
    assert exchange.refusal(exchange.perp, "add_market", *named, sender=exchange.owner) == reason
    arguments = (BTC, parameters)
    assert exchange.trade_refusal("update_market", *arguments, at="61000", sender=exchange.owner) == reason


def test_parameters_at_their_bounds_are_taken(exchange: Exchange) -> None:
    edge = MAJOR._replace(maintenance_margin_rate=WAD * 15 // 1000 - 1, max_price_age_seconds=5)
    named = ("DOGE-USD", "DOGE", "USD", FEEDS[0].price_id, edge)
    mined = exchange.send(exchange.perp, "add_market", *named, sender=exchange.owner)
    assert mined.one("MarketAdded")["market_id"] == 4
    assert exchange.market(4)["funding_settled_at"] == mined.timestamp


def test_an_update_accrues_by_the_old_parameters_first(exchange: Exchange) -> None:
    exchange.open(True, "3", "20000", at="60000")
    exchange.open(False, "1", "20000", at="60000")
    changed = MAJOR._replace(funding_factor_per_second=0, max_leverage=20 * WAD)
    mined = exchange.trade("update_market", BTC, changed, at="60000", sender=exchange.owner, after=100)
    assert mined.one("FundingSettled")["rate_per_second"] == MAJOR.funding_factor_per_second // 2
    assert mined.one("FundingSettled")["elapsed_seconds"] == 100
    assert mined.one("MarketUpdated") == {"market_id": BTC, **changed._asdict()}
    assert exchange.market(BTC)["parameters"] == changed
    later = exchange.trade("settle_funding", BTC, at="60000", after=100).one("FundingSettled")
    assert (later["rate_per_second"], later["elapsed_seconds"]) == (0, 100)


def test_only_the_owner_rules(exchange: Exchange) -> None:
    perp, alice = exchange.perp, exchange.alice
    named = ("DOGE-USD", "DOGE", "USD", FEEDS[0].price_id, MAJOR)
    assert exchange.view("owner") == exchange.owner
    assert exchange.refusal(perp, "add_market", *named, sender=alice) == "not owner"
    assert exchange.refusal(perp, "set_paused", True, sender=alice) == "not owner"
    assert exchange.trade_refusal("update_market", BTC, MAJOR, at="61000") == "not owner"
    data: list[bytes] = []
    assert exchange.refusal(perp, "update_market", 4, MAJOR, data, sender=exchange.owner) == "unknown market"
    nameless = ("", *named[1:])
    assert exchange.refusal(perp, "add_market", *nameless, sender=exchange.owner) == "symbol"


def test_a_pause_stops_new_risk_and_nothing_else(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "5000", at="61000")
    sinking = exchange.open(True, "1", "1300", at="61000")
    paused = exchange.send(exchange.perp, "set_paused", True, sender=exchange.owner)
    assert paused.one("PauseChanged") == {"paused": True}
    opening = (BTC, True, WAD, wad("5000"), NO_LIMIT_UP)
    assert exchange.trade_refusal("open", *opening, at="61000") == "paused"
    assert exchange.trade_refusal("modify_collateral", position_id, -1, at="61000") == "paused"
    exchange.trade("modify_collateral", position_id, 1, at="61000")
    exchange.trade("settle_funding", BTC, at="61000")
    exchange.trade("liquidate", sinking, at="60500", sender=exchange.keeper)
    exchange.trade("close", position_id, 0, at="60500")
    exchange.send(exchange.perp, "set_paused", False, sender=exchange.owner)
    exchange.trade("open", *opening, at="61000")


@pytest.mark.parametrize(
    ("function", "balance", "event"),
    [("deposit_pool", "pool", "PoolDeposited"), ("deposit_insurance", "insurance", "InsuranceDeposited")],
)
def test_anyone_may_deposit(exchange: Exchange, function: str, balance: str, event: str) -> None:
    before = exchange.view(balance)
    mined = exchange.send(exchange.perp, function, 7 * WAD, sender=exchange.bob)
    assert mined.one(event) == {"sender": exchange.bob, "amount": 7 * WAD}
    assert exchange.view(balance) == before + 7 * WAD
    assert exchange.refusal(exchange.perp, function, 0, sender=exchange.bob) == "zero amount"


def test_views_of_what_is_not_there(exchange: Exchange) -> None:
    def refusal(function: str, *arguments: Any) -> str:
        return exchange.refusal(exchange.perp, function, *arguments, sender=exchange.alice)

    assert refusal("equity", 1) == "no position"
    assert refusal("is_liquidatable", 1) == "no position"
    assert refusal("funding_index_now", 9) == "unknown market"
    assert refusal("settle_funding", 9, []) == "unknown market"
    assert refusal("liquidate", 9, []) == "no position"
    assert (exchange.view("token"), exchange.view("pyth")) == (exchange.token.address, exchange.pyth.address)
