"""Liquidating one position because a client asked: done when the transaction is final, refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest

from app.perps.jobs import LIQUIDATE
from contracts.feeds import FEEDS
from contracts.markets import WAD
from tests.perps.test_keeper import Reconfigure, move
from tests.perps.venue import BTC, NAME, Venue

pytestmark = pytest.mark.chain


def published_at(venue: Venue, market: str) -> int:
    """When the price was published that the chain's price contract was given last."""
    pyth = venue.contract("dev_pyth", venue.deployment.pyth.address)
    _price, _conf, _expo, publish_time = pyth.functions.getPriceUnsafe(FEEDS[int(market) - 1].price_id).call()
    return int(publish_time)


def asked(venue: Venue, key: str, protocol: str = NAME) -> Any:
    return venue.submit(LIQUIDATE, params={"protocol": protocol, "position": key})


def test_it_ends_with_its_transaction(venue: Venue) -> None:
    long = venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    row = venue.finish(asked(venue, long))
    assert row.status == "succeeded"
    assert row.result["status"] == "final"
    (intent,) = venue.rows("SELECT * FROM chain_intents")
    assert row.result["transaction_hash"] == "0x" + bytes(intent.transaction_hash).hex()
    assert (intent.action, intent.subject, intent.job_id) == ("liquidate", f"{NAME}:{long}", row.id)
    # Once its price is older than this the contract refuses it: then it is cancelled and not sent again.
    assert intent.expires_at.timestamp() - published_at(venue, BTC) == 60
    venue.index()
    assert venue.position(long).status == "liquidated"


def test_it_waits_without_spending_attempts(venue: Venue) -> None:
    long = venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    venue.rpc("evm_setAutomine", False)
    job_id = asked(venue, long)
    for _ in range(3):
        row = venue.work(job_id)
        assert (row.status, row.attempt) == ("queued", 0)
    assert len(venue.rows("SELECT * FROM chain_intents")) == 1
    venue.rpc("evm_setAutomine", True)
    assert venue.finish(job_id).status == "succeeded"


@pytest.mark.parametrize(
    ("key", "protocol", "code"),
    [
        ("999", NAME, "perps.position_not_found"),
        ("1", "another", "perps.protocol_not_found"),
    ],
)
def test_what_is_not_there(venue: Venue, key: str, protocol: str, code: str) -> None:
    row = venue.work(asked(venue, key, protocol))
    assert (row.status, row.error["code"]) == ("failed", code)


def test_a_healthy_position_is_refused_and_an_ended_one(venue: Venue) -> None:
    long = venue.open(True, "1", "1500")
    venue.index()
    row = venue.work(asked(venue, long))
    assert (row.status, row.error["code"]) == ("failed", "perps.position_healthy")
    move(venue, "59000")
    venue.act("liquidate", int(long))
    row = venue.work(asked(venue, long))  # our tables do not know it yet, the contract does
    assert (row.status, row.error["code"]) == ("failed", "perps.position_ended")
    venue.index()
    row = venue.work(asked(venue, long))
    assert (row.status, row.error["code"]) == ("failed", "perps.position_ended")
    assert venue.rows("SELECT * FROM chain_intents") == []


def test_who_comes_second_on_chain_learns_it(venue: Venue) -> None:
    long = venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    # Another keeper's transaction is in the pool before ours, at a higher price: ours reverts in the same block.
    venue.rpc("evm_setAutomine", False)
    data = venue.perp.encode_abi("liquidate", [int(long), venue.update_data("1")])
    fees = {"maxFeePerGas": hex(10**12), "maxPriorityFeePerGas": hex(10**11)}
    call = {"from": venue.trader, "to": venue.perp.address, "data": data, "value": "0x1", "gas": hex(10**6), **fees}
    venue.rpc("eth_sendTransaction", call)
    job_id = asked(venue, long)
    assert venue.work(job_id).status == "queued"
    venue.rpc("evm_setAutomine", True)
    row = venue.finish(job_id)
    # The failed transaction cost an attempt; the next one finds the position gone.
    assert (row.status, row.error["code"], row.attempt) == ("failed", "perps.position_ended", 2)
    assert [intent.status for intent in venue.rows("SELECT status FROM chain_intents")] == ["reverted"]
    venue.index()
    (liquidation,) = venue.rows("SELECT * FROM perps_liquidations")
    assert "0x" + bytes(liquidation.liquidator).hex() == venue.trader.lower()
    assert liquidation.price_wad == 59_000 * WAD


def test_without_a_key_it_is_refused(venue: Venue, reconfigure: Reconfigure) -> None:
    long = venue.open(True, "1", "1500")
    venue.index()
    reconfigure(chain={"signer_key": None})
    row = venue.work(asked(venue, long))
    assert row.error["code"] == "perps.keeper_unavailable"
