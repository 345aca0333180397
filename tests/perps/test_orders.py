"""Orders from a price to the chain's own event, on a real node with signed prices: executed by the keeper, once."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import pytest

from app.perps.jobs import EXECUTE_ORDERS
from contracts.markets import WAD
from tests.contracts.exchange import STOP_LOSS, TAKE_PROFIT
from tests.perps.test_keeper import Reconfigure, intents, move
from tests.perps.venue import BTC, NAME, Venue

pytestmark = pytest.mark.chain


def executed(venue: Venue, **params: Any) -> dict[str, Any]:
    """The result of a round."""
    result: dict[str, Any] = venue.run(EXECUTE_ORDERS, params=params)[NAME]
    return result


def order(venue: Venue, key: str) -> Any:
    """An order's row."""
    (row,) = venue.rows("SELECT * FROM perps_orders WHERE key = :key", key=key)
    return row


def fates(result: dict[str, Any]) -> dict[str, str]:
    return {attempt["order"]: attempt["fate"] for attempt in result["attempts"]}


def test_a_stop_loss_is_executed_on_chain_and_pays_the_keeper(venue: Venue) -> None:
    long = venue.open(True, "2", "30000")
    stop = venue.place_closing(STOP_LOSS, long, "59000", size="0.5")
    gain = venue.place_closing(TAKE_PROFIT, long, "61000")
    venue.index()
    assert executed(venue)["fates"] == {}
    move(venue, "58900")
    result = executed(venue)
    (attempt,) = result["attempts"]
    assert (attempt["order"], attempt["fate"], attempt["bonus"]) == (stop, "planned", "20")
    assert Decimal(attempt["cost"]) > 0
    assert intents(venue) == [("execute_order", f"{NAME}:{stop}", "broadcast")]
    venue.settle()
    row = order(venue, stop)
    assert (row.status, row.executed_price_wad, row.executed_size_wad) == ("executed", 58_900 * WAD, WAD // 2)
    assert "0x" + bytes(row.keeper).hex() == venue.keeper.lower()
    assert bytes(row.transaction_hash) == venue.rows("SELECT transaction_hash FROM chain_intents")[0][0].tobytes()
    assert venue.position(long).size_wad == venue.on_chain(long)["size"] == 3 * WAD // 2
    assert venue.position(long).collateral_wad == venue.on_chain(long)["collateral"]
    assert executed(venue)["fates"] == {}  # it is done, and the other waits
    move(venue, "61100")
    assert fates(executed(venue)) == {gain: "planned"}
    venue.settle()
    assert venue.position(long).status == "closed"
    assert order(venue, gain).executed_size_wad == 3 * WAD // 2


def test_a_limit_order_opens_a_position_and_another_adds_to_it(venue: Venue) -> None:
    first = venue.place_limit(True, "59000")
    venue.index()
    move(venue, "58950")
    assert fates(executed(venue)) == {first: "planned"}
    venue.settle()
    long = order(venue, first).position_key
    assert venue.position(long).size_wad == WAD
    more = venue.place_limit(True, "58000", position=long)
    venue.index()
    move(venue, "57900")
    assert fates(executed(venue)) == {more: "planned"}
    venue.settle()
    held = venue.on_chain(long)
    row = venue.position(long)
    assert (row.size_wad, row.collateral_wad, row.entry_price_wad, row.entry_funding_index_wad) == (
        held["size"],
        held["collateral"],
        held["entry_price"],
        held["entry_funding_index"],
    )
    assert held["size"] == 2 * WAD


def test_what_may_not_be_executed_is_passed_over(venue: Venue) -> None:
    long, doomed = venue.open(True, "1", "30000"), venue.open(True, "1", "30000")
    now = venue.w3.eth.get_block("latest")["timestamp"]
    venue.place_closing(STOP_LOSS, doomed, "59000")  # its position is closed before
    venue.place_closing(STOP_LOSS, long, "59000", acceptable=58_950 * WAD)
    cancelled = venue.place_closing(STOP_LOSS, long, "59000")
    venue.place_closing(STOP_LOSS, long, "59000", expires_at=now + 3600)  # expired by then
    venue.act("close", int(doomed), 0)
    venue.cancel(cancelled)
    venue.index()
    venue.execute("UPDATE perps_orders SET expires_at = now() - interval '1 second' WHERE expires_at IS NOT NULL")
    move(venue, "58900")
    assert executed(venue)["attempts"] == []
    assert intents(venue) == []


def test_closing_orders_go_first_and_the_cap_holds(venue: Venue, reconfigure: Reconfigure) -> None:
    entry = venue.place_limit(True, "59000")
    long = venue.open(True, "1", "30000")
    late = [venue.place_closing(STOP_LOSS, long, "59000", size="0.1") for _ in range(3)]
    venue.index()
    move(venue, "58900")
    reconfigure(max_orders_per_scan=2)
    result = executed(venue)
    assert (list(fates(result)), result["more"]) == (late[:2], True)
    rest = executed(venue)
    assert list(fates(rest)) == [late[2], entry], rest  # those on their way are passed over
    venue.settle()
    assert venue.rows("SELECT DISTINCT status FROM perps_orders") == [("executed",)]


def test_a_price_too_wide_to_open_by_closes_all_the_same(venue: Venue) -> None:
    long = venue.open(True, "1", "30000")
    stop, entry = venue.place_closing(STOP_LOSS, long, "59000"), venue.place_limit(True, "62000")
    venue.index()
    move(venue, "58900", conf_bps=200)
    assert fates(executed(venue)) == {stop: "planned", entry: "waiting"}
    move(venue, "58900", conf_bps=1)
    assert fates(executed(venue)) == {entry: "planned"}


def test_the_update_has_the_last_word_before_gas_is_paid(venue: Venue) -> None:
    long = venue.open(True, "1", "30000")
    stop = venue.place_closing(STOP_LOSS, long, "59000")
    venue.index()
    move(venue, "58900")
    venue.price("BTC-USD", "60000")  # it has come back since; the recorded one has not
    assert fates(executed(venue)) == {stop: "waiting"}
    venue.cancel(stop)
    careful = venue.place_closing(STOP_LOSS, long, "59000", acceptable=58_800 * WAD)
    venue.index()
    venue.price("BTC-USD", "58799")  # past what the trader would take
    (attempt,) = executed(venue)["attempts"]
    assert (attempt["order"], attempt["fate"], attempt["detail"]) == (
        careful,
        "waiting",
        "the price is not acceptable",
    )
    assert intents(venue) == []


def test_two_keepers_at_once_send_one_transaction(venue: Venue) -> None:
    long = venue.open(True, "1", "30000")
    stop = venue.place_closing(STOP_LOSS, long, "59000")
    venue.index()
    move(venue, "58900")
    venue.rpc("evm_setAutomine", False)
    assert fates(executed(venue)) == {stop: "planned"}
    assert executed(venue)["attempts"] == []
    assert len(intents(venue)) == 1
    venue.rpc("evm_setAutomine", True)
    venue.settle()
    assert order(venue, stop).status == "executed"


def test_who_was_executed_by_another_keeper_is_gone(venue: Venue) -> None:
    long = venue.open(True, "1", "30000")
    stop = venue.place_closing(STOP_LOSS, long, "59000")
    venue.index()
    move(venue, "58900")
    venue.act("execute_order", int(stop))
    assert fates(executed(venue)) == {stop: "gone"}
    venue.index()
    assert executed(venue)["attempts"] == []
    assert order(venue, stop).status == "executed"


def test_a_fee_that_does_not_cover_the_cost_backs_off(venue: Venue) -> None:
    long = venue.open(True, "1", "30000")
    stop = venue.place_closing(STOP_LOSS, long, "59000", fee="0.000000001")
    venue.index()
    move(venue, "58900")
    assert fates(executed(venue)) == {stop: "unprofitable"}
    (backoff,) = venue.rows("SELECT * FROM perps_keeper_backoffs")
    assert (backoff.action, backoff.key, backoff.reason, backoff.failures) == ("execute_order", stop, "unprofitable", 1)
    assert executed(venue)["attempts"] == []
    venue.act("close", int(long), 0)
    venue.cancel(stop)
    venue.index()
    other = venue.open(True, "1", "30000")
    venue.place_closing(STOP_LOSS, other, "59500")
    venue.index()
    executed(venue)
    assert venue.rows("SELECT * FROM perps_keeper_backoffs") == []  # swept with its order


def test_a_contract_that_knows_better_backs_off_for_a_moment(venue: Venue) -> None:
    long = venue.open(True, "1", "30000")
    stop = venue.place_closing(STOP_LOSS, long, "59000")
    venue.index()
    move(venue, "58900")
    stale = venue.lag_seconds
    venue.price("BTC-USD", "60000")
    venue.act("settle_funding", int(BTC))  # the chain has been given a newer price than the source says it has
    venue.lag_seconds = stale + 5
    venue.price("BTC-USD", "58800")
    assert fates(executed(venue)) == {stop: "untriggered"}
    (backoff,) = venue.rows("SELECT reason, until - failed_at AS wait FROM perps_keeper_backoffs")
    assert (backoff.reason, backoff.wait.total_seconds()) == ("untriggered", 2)


def test_without_a_key_it_only_says_what_it_sees(venue: Venue, reconfigure: Reconfigure) -> None:
    long = venue.open(True, "1", "30000")
    stop = venue.place_closing(STOP_LOSS, long, "59000")
    venue.index()
    move(venue, "58900")
    reconfigure(chain={"signer_key": None})
    assert fates(executed(venue)) == {stop: "seen"}
    assert intents(venue) == []


def test_its_transaction_ends_with_its_order(venue: Venue) -> None:
    long = venue.open(True, "1", "30000")
    last = int(time.time()) + 20
    venue.place_closing(STOP_LOSS, long, "59000", expires_at=last)
    venue.index()
    move(venue, "58900")
    executed(venue)
    (intent,) = venue.rows("SELECT expires_at FROM chain_intents")
    assert intent.expires_at.timestamp() == last


def test_without_update_data_the_order_waits_for_the_next_round(venue: Venue) -> None:
    long = venue.open(True, "1", "30000")
    stop = venue.place_closing(STOP_LOSS, long, "59000")
    venue.index()
    move(venue, "58900")
    venue.price("BTC-USD", "58900", stale_seconds=70)
    assert fates(executed(venue)) == {stop: "unreached"}
    assert venue.rows("SELECT * FROM perps_keeper_backoffs") == []
