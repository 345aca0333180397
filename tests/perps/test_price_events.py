"""A new price has its markets searched at once; and every step of what follows leaves its time."""

from __future__ import annotations

from typing import Any

import pytest

from app.oracle.jobs import REFRESH_PRICES
from app.perps.jobs import EXECUTE_ORDERS, SCAN_LIQUIDATIONS
from tests.contracts.exchange import STOP_LOSS
from tests.perps.test_keeper import Reconfigure
from tests.perps.venue import BTC, NAME, Venue

pytestmark = pytest.mark.chain

COLUMNS = "SELECT column_name AS name FROM information_schema.columns WHERE table_name = 'perps_liquidations'"
QUEUED = "SELECT id, kind, params, principal FROM jobs WHERE status = 'queued' ORDER BY kind"


def queued(venue: Venue) -> list[tuple[str, Any]]:
    return [(row.kind, row.params) for row in venue.rows(QUEUED)]


def searches(market: str | None) -> list[tuple[str, Any]]:
    params = {"protocol": NAME, "market": market}
    return [(EXECUTE_ORDERS.name, params), (SCAN_LIQUIDATIONS.name, params)]


def move(venue: Venue, price: str, *others: str) -> None:
    """The price of BTC moves, and is recorded beside others; what that queues stays."""
    venue.price("BTC-USD", price)
    venue.run(REFRESH_PRICES, params={"feeds": ["BTC/USD", *others]})


def forget(venue: Venue) -> None:
    venue.execute("DELETE FROM jobs WHERE status = 'queued'")


def test_one_price_moves_one_market_and_several_the_protocol(venue: Venue) -> None:
    move(venue, "59999")
    assert queued(venue) == searches(BTC)
    move(venue, "59998")
    assert queued(venue) == searches(BTC)  # the one that waits will see the newest price
    assert {row.principal for row in venue.rows(QUEUED)} == {"system"}
    forget(venue)
    venue.price("ETH-USD", "2999")
    move(venue, "59997", "ETH/USD")
    assert queued(venue) == searches(None)


def test_the_search_that_a_price_queued_liquidates(venue: Venue) -> None:
    long = venue.open(True, "1", "1500")
    other = venue.open(True, "1", "30000")
    stop = venue.place_closing(STOP_LOSS, other, "59500")
    venue.index()
    move(venue, "59000")
    for row in venue.rows(QUEUED):
        assert venue.work(row.id).status == "succeeded"
    venue.settle()
    assert (venue.position(long).status, venue.position(other).status) == ("liquidated", "closed")
    planned = {(row.action, row.key) for row in venue.rows("SELECT action, key FROM perps_keeper_actions")}
    assert planned == {("liquidate", long), ("execute_order", stop)}


def test_without_a_key_a_price_queues_nothing(venue: Venue, reconfigure: Reconfigure) -> None:
    reconfigure(chain={"signer_key": None})
    move(venue, "59000")
    assert queued(venue) == []


def test_every_step_leaves_its_time(venue: Venue) -> None:
    long = venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    venue.run(SCAN_LIQUIDATIONS)
    (action,) = venue.rows("SELECT * FROM perps_keeper_actions")
    assert (action.protocol, action.action, action.key, action.market_id) == (NAME, "liquidate", long, BTC)
    assert action.price_published_at < action.detected_at <= action.planned_at <= action.broadcast_at
    assert (action.included_at, action.block_number, action.outcome) == (None, None, None)
    for _ in range(3):
        venue.mine()
        venue.run_watcher()
    venue.run(SCAN_LIQUIDATIONS)  # final, but its block has yet to be read
    assert venue.rows("SELECT outcome FROM perps_keeper_actions") == [(None,)]
    venue.index()
    # A key that other protocols open again has had liquidations before, and may have one after.
    columns = [row.name for row in venue.rows(COLUMNS)]
    other = {"block_number": "block_number + by", "transaction_hash": "decode(repeat('00', 32), 'hex')"}
    values = ", ".join(other.get(name, name) for name in columns)
    venue.execute(
        f"INSERT INTO perps_liquidations ({', '.join(columns)})"  # noqa: S608 - our own words
        f" SELECT {values} FROM perps_liquidations, (VALUES (-1), (1)) AS other (by)"
    )
    venue.run(SCAN_LIQUIDATIONS)
    (ended,) = venue.rows("SELECT * FROM perps_keeper_actions")
    liquidation = venue.rows("SELECT * FROM perps_liquidations ORDER BY block_number")[1]
    assert (ended.outcome, ended.included_at) == ("final", liquidation.liquidated_at)
    assert ended.block_number == liquidation.block_number
    assert ended.broadcast_at == action.broadcast_at


def test_a_transaction_that_came_to_nothing_says_so(venue: Venue) -> None:
    long = venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    venue.rpc("evm_setAutomine", False)
    data = venue.perp.encode_abi("liquidate", [int(long), venue.update_data(BTC)])
    fees = {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11)}
    call = {"from": venue.trader, "to": venue.perp.address, "data": data, "value": "0x1", "gas": hex(10**6), **fees}
    venue.rpc("eth_sendTransaction", call)
    venue.run(SCAN_LIQUIDATIONS)
    venue.rpc("evm_setAutomine", True)
    venue.settle()
    venue.run(SCAN_LIQUIDATIONS)
    (ended,) = venue.rows("SELECT * FROM perps_keeper_actions")
    assert (ended.outcome, ended.included_at, ended.block_number) == ("reverted", None, None)
