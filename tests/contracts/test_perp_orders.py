"""Conditional orders: when each side's price has come, what is held for them, what is done once, and every refusal."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from contracts.markets import MAJOR, WAD
from tests.contracts.exchange import (
    BTC,
    ETH,
    LIMIT,
    NO_LIMIT_DOWN,
    NO_LIMIT_UP,
    STOP_LOSS,
    TAKE_PROFIT,
    Exchange,
    Mined,
    wad,
)
from tests.contracts.ledger import Ledger

pytestmark = pytest.mark.chain

FEE = wad("2")


def limit(exchange: Exchange, is_long: bool, trigger: str, **options: Any) -> int:
    """A limit order of Alice's for one BTC; its id."""
    acceptable = options.pop("acceptable", NO_LIMIT_UP if is_long else NO_LIMIT_DOWN)
    position_id, collateral = options.pop("position_id", 0), wad(options.pop("collateral", "6000"))
    expires_at = options.pop("expires_at", 0)
    terms = (BTC, is_long, position_id, WAD, collateral, wad(trigger), acceptable, FEE, expires_at)
    placed = exchange.send(exchange.perp, "place_limit_order", *terms, sender=exchange.alice, **options)
    return placed.one("OrderPlaced")["order_id"]


def closing(exchange: Exchange, kind: int, position_id: int, trigger: str, **options: Any) -> int:
    """An order of Alice's to close a position; its id."""
    is_long = exchange.position(position_id)["is_long"]
    acceptable = options.pop("acceptable", NO_LIMIT_DOWN if is_long else NO_LIMIT_UP)
    size, expires_at = wad(options.pop("size", "1")), options.pop("expires_at", 0)
    terms = (kind, position_id, size, wad(trigger), acceptable, FEE, expires_at)
    placed = exchange.send(exchange.perp, "place_closing_order", *terms, sender=exchange.alice, **options)
    return placed.one("OrderPlaced")["order_id"]


def execute(exchange: Exchange, order_id: int, at: str, **options: Any) -> Mined:
    return exchange.trade("execute_order", order_id, at=at, sender=exchange.keeper, **options)


def refused(exchange: Exchange, order_id: int, at: str, **options: Any) -> str:
    return exchange.trade_refusal("execute_order", order_id, at=at, sender=exchange.keeper, **options)


def check_books(exchange: Exchange) -> None:
    """The token agrees with the books, and the events alone rebuild the state."""
    assert exchange.balance(exchange.perp.address) == exchange.view("accounted_balance")
    ledger = Ledger.folded(exchange.all_events())
    assert (ledger.pool, ledger.insurance) == (exchange.view("pool"), exchange.view("insurance"))
    assert (ledger.escrow, ledger.total_collateral) == (exchange.view("escrow"), exchange.view("total_collateral"))
    for position_id, position in ledger.positions.items():
        assert exchange.position(position_id) == asdict(position)
    for order_id in range(1, exchange.view("order_count") + 1):
        assert (exchange.order(order_id)["kind"] > 0) == (order_id in ledger.orders)


# The table of who waits for what: a price of 60 000 ± 60, at the end of the interval that is worse for the trader.
@pytest.mark.parametrize(
    ("kind", "is_long", "fires", "waits"),
    [
        (LIMIT, True, "60060", "60059.99999999"),
        (LIMIT, False, "59940", "59940.00000001"),
        (STOP_LOSS, True, "59940", "59939.99999999"),
        (STOP_LOSS, False, "60060", "60060.00000001"),
        (TAKE_PROFIT, True, "59940", "59940.00000001"),
        (TAKE_PROFIT, False, "60060", "60059.99999999"),
    ],
)
def test_each_side_waits_for_its_own_end_of_the_price(
    exchange: Exchange, kind: int, is_long: bool, fires: str, waits: str
) -> None:
    if kind == LIMIT:
        fired, waiting = (limit(exchange, is_long, trigger) for trigger in (fires, waits))
    else:
        position_id = exchange.open(is_long, "3", "30000", at="60000")
        fired, waiting = (closing(exchange, kind, position_id, trigger) for trigger in (fires, waits))
    assert refused(exchange, waiting, "60000", conf="60") == "not triggered"
    execute(exchange, fired, "60000", conf="60")
    assert refused(exchange, waiting, "60000", conf="60") == "not triggered"
    check_books(exchange)


def test_a_limit_order_opens_once_and_pays_whoever_executed_it(exchange: Exchange) -> None:
    before, keeper = exchange.balance(exchange.alice), exchange.balance(exchange.keeper)
    order_id = limit(exchange, True, "59000", acceptable=wad("59000"))
    assert exchange.balance(exchange.alice) == before - wad("6002")
    assert exchange.view("escrow") == wad("6002")
    check_books(exchange)
    mined = execute(exchange, order_id, "58900")
    opened = mined.one("PositionOpened")
    fee = wad("58900") * MAJOR.open_fee_rate // WAD
    assert (opened["owner"], opened["collateral"]) == (exchange.alice, wad("6000") - fee)
    assert mined.one("OrderExecuted") == {
        "order_id": order_id,
        "owner": exchange.alice,
        "market_id": BTC,
        "position_id": opened["position_id"],
        "keeper": exchange.keeper,
        "price": wad("58900"),
        "size": WAD,
        "execution_fee": FEE,
    }
    assert exchange.balance(exchange.keeper) == keeper + FEE
    assert exchange.view("escrow") == 0
    assert exchange.order(order_id)["kind"] == 0
    assert exchange.refusal(exchange.perp, "execute_order", order_id, [], sender=exchange.keeper) == "no order"
    check_books(exchange)


@pytest.mark.parametrize("is_long", [True, False])
def test_a_limit_order_increases_a_position_at_the_average(exchange: Exchange, is_long: bool) -> None:
    position_id = exchange.open(is_long, "2", "30000", at="60000.00000007")
    exchange.open(not is_long, "1", "30000", at="60000", sender=exchange.bob)  # so that funding flows
    price = "58999.99999999" if is_long else "61000.00000001"
    order_id = limit(exchange, is_long, price if is_long else "61000", position_id=position_id)
    mined = execute(exchange, order_id, price, conf="0", after=86_400)
    increased = mined.one("PositionIncreased")
    assert (increased["size"], mined.one("OrderExecuted")["position_id"]) == (3 * WAD, position_id)
    low, high = sorted((wad(price), wad("60000.00000007")))
    assert low < increased["entry_price"] < high
    assert exchange.market(BTC)["long_open_interest" if is_long else "short_open_interest"] == 3 * WAD
    check_books(exchange)
    exchange.trade("close", position_id, NO_LIMIT_DOWN if is_long else NO_LIMIT_UP, at="60000")
    check_books(exchange)


def test_an_increase_must_not_stretch_the_leverage(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "1500", at="60000")
    poor = limit(exchange, True, "60000", position_id=position_id, collateral="100")
    assert refused(exchange, poor, "59999") == "leverage"
    without = limit(exchange, True, "60000", position_id=position_id, collateral="0")
    assert refused(exchange, without, "59999") == "collateral below fee"


@pytest.mark.parametrize("is_long", [True, False])
def test_a_stop_loss_closes_a_part_and_the_rest_is_as_it_was(exchange: Exchange, is_long: bool) -> None:
    position_id = exchange.open(is_long, "3", "30000.00000001", at="60000")
    exchange.open(not is_long, "1", "30000", at="60000", sender=exchange.bob)
    held = exchange.position(position_id)
    trigger = "59000" if is_long else "61000"
    order_id = closing(exchange, STOP_LOSS, position_id, trigger, size="1.000000000000000001")
    before = exchange.balance(exchange.alice)
    mined = execute(exchange, order_id, trigger, conf="0", after=86_400)
    decreased = mined.one("PositionDecreased")
    share = held["collateral"] * (WAD + 1) // (3 * WAD)
    assert (decreased["size"], decreased["collateral"]) == (WAD + 1, share)
    assert exchange.balance(exchange.alice) == before + decreased["payout"]
    left = exchange.position(position_id)
    changed = {"size": 2 * WAD - 1, "collateral": held["collateral"] - share}
    assert left == held | changed
    check_books(exchange)


def test_more_than_there_is_means_all_of_it(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "6000", at="60000")
    order_id = closing(exchange, TAKE_PROFIT, position_id, "61000", size="5")
    mined = execute(exchange, order_id, "61001")
    assert (mined.one("PositionClosed")["size"], mined.one("OrderExecuted")["size"]) == (WAD, WAD)
    assert exchange.position(position_id)["size"] == 0
    check_books(exchange)


def test_the_price_must_be_acceptable_too(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "6000", at="60000")
    order_id = closing(exchange, STOP_LOSS, position_id, "59000", acceptable=wad("58900"))
    assert refused(exchange, order_id, "58899.99999999") == "price limit"
    execute(exchange, order_id, "58900")
    buying = limit(exchange, True, "59000", acceptable=wad("58000"))
    assert refused(exchange, buying, "58000.00000001") == "price limit"
    execute(exchange, buying, "58000")


def test_an_order_expires_after_its_last_second(exchange: Exchange) -> None:
    last = exchange.now + 100
    order_id = limit(exchange, True, "59000", expires_at=last)
    assert refused(exchange, order_id, "58000", after=last - exchange.now + 1) == "expired"
    execute(exchange, order_id, "58000", after=last - exchange.now)
    expired = exchange.now + 1
    terms = (BTC, True, 0, WAD, wad("6000"), wad("59000"), NO_LIMIT_UP, FEE, expired)
    refusal = exchange.refusal(exchange.perp, "place_limit_order", *terms, sender=exchange.alice)
    assert refusal == "expired"


def test_only_its_owner_takes_an_order_back_with_all_it_holds(exchange: Exchange) -> None:
    before = exchange.balance(exchange.alice)
    order_id = limit(exchange, True, "59000")
    assert exchange.refusal(exchange.perp, "cancel_order", order_id, sender=exchange.bob) == "not owner"
    mined = exchange.send(exchange.perp, "cancel_order", order_id, sender=exchange.alice)
    assert mined.one("OrderCancelled") == {"order_id": order_id, "owner": exchange.alice, "market_id": BTC}
    assert exchange.balance(exchange.alice) == before
    assert exchange.refusal(exchange.perp, "cancel_order", order_id, sender=exchange.alice) == "no order"
    check_books(exchange)


@pytest.mark.parametrize("ending", ["close", "liquidate"])
def test_the_order_of_an_ended_position_can_only_be_taken_back(exchange: Exchange, ending: str) -> None:
    position_id = exchange.open(True, "1", "1500", at="60000")
    order_id = closing(exchange, STOP_LOSS, position_id, "59900")
    if ending == "close":
        exchange.trade("close", position_id, NO_LIMIT_DOWN, at="60000")
    else:
        exchange.trade("liquidate", position_id, at="59000", sender=exchange.keeper)
    assert refused(exchange, order_id, "59000") == "no position"
    exchange.send(exchange.perp, "cancel_order", order_id, sender=exchange.alice)
    assert exchange.view("escrow") == 0
    check_books(exchange)


def test_an_insolvent_position_is_left_to_liquidation(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "1500", at="60000")
    order_id = closing(exchange, STOP_LOSS, position_id, "59900")
    assert refused(exchange, order_id, "58000") == "insolvent"


def test_a_pause_stops_what_opens_and_not_what_closes(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "6000", at="60000")
    stop, opening = closing(exchange, STOP_LOSS, position_id, "59000"), limit(exchange, True, "59000")
    exchange.send(exchange.perp, "set_paused", True, sender=exchange.owner)
    assert refused(exchange, opening, "58900") == "paused"
    execute(exchange, stop, "58900")
    terms = (BTC, True, 0, WAD, wad("6000"), wad("59000"), NO_LIMIT_UP, FEE, 0)
    assert exchange.refusal(exchange.perp, "place_limit_order", *terms, sender=exchange.alice) == "paused"
    exchange.send(exchange.perp, "cancel_order", opening, sender=exchange.alice)
    check_books(exchange)


def test_a_wide_confidence_holds_up_what_opens_and_not_what_closes(exchange: Exchange) -> None:
    position_id = exchange.open(True, "1", "20000", at="60000")
    stop, opening = closing(exchange, STOP_LOSS, position_id, "58000"), limit(exchange, True, "66000")
    assert refused(exchange, opening, "59000", conf="1180") == "confidence"
    execute(exchange, stop, "59000", conf="1180")
    assert exchange.refusal(exchange.perp, "execute_order", opening, [], sender=exchange.keeper, after=61) == (
        "0x19abf40e"  # StalePrice
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"market_id": 99}, "unknown market"),
        ({"size": 0}, "zero size"),
        ({"size": 10**30 + 1}, "size too large"),
        ({"trigger": 0}, "trigger price"),
        ({"position_id": 99}, "no position"),
        ({"position_id": 2}, "not owner"),
        ({"position_id": 1, "is_long": False}, "another side"),
        ({"position_id": 1, "market_id": ETH}, "another side"),
    ],
)
def test_what_a_limit_order_may_not_be(exchange: Exchange, changes: dict[str, Any], reason: str) -> None:
    assert exchange.open(True, "1", "6000", at="60000") == 1
    assert exchange.open(True, "1", "6000", at="60000", sender=exchange.bob) == 2
    terms = {"market_id": BTC, "is_long": True, "position_id": 0, "size": WAD, "collateral": wad("6000")}
    terms |= {"trigger": wad("59000"), "acceptable": NO_LIMIT_UP, "fee": FEE, "expires_at": 0} | changes
    refusal = exchange.refusal(exchange.perp, "place_limit_order", *terms.values(), sender=exchange.alice)
    assert refusal == reason


@pytest.mark.parametrize(
    ("kind", "position_id", "reason"), [(1, 1, "kind"), (4, 1, "kind"), (2, 2, "not owner"), (2, 99, "no position")]
)
def test_what_a_closing_order_may_not_be(exchange: Exchange, kind: int, position_id: int, reason: str) -> None:
    assert exchange.open(True, "1", "6000", at="60000") == 1
    assert exchange.open(True, "1", "6000", at="60000", sender=exchange.bob) == 2
    terms = (kind, position_id, WAD, wad("59000"), 0, FEE, 0)
    assert exchange.refusal(exchange.perp, "place_closing_order", *terms, sender=exchange.alice) == reason
