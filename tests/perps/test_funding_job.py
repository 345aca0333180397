"""Funding by the hour: a job a market and slot, a transaction where one is needed, a row for what the chain settled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.perps.jobs import SETTLE_FUNDING
from contracts.markets import MAJOR, WAD
from tests.perps.test_keeper import Reconfigure
from tests.perps.venue import BTC, ETH, NAME, SOL, Venue

pytestmark = pytest.mark.chain


def later(venue: Venue, seconds: int) -> None:
    """The chain's time goes on."""
    venue.rpc("evm_increaseTime", seconds)
    venue.mine()


def of_market(venue: Venue, market: str, **options: Any) -> Any:
    return venue.submit(SETTLE_FUNDING, params={"protocol": NAME, "market": market}, **options)


def test_a_slot_is_a_job_a_market_and_a_settlement_each(venue: Venue) -> None:
    venue.open(True, "3", "30000")
    venue.open(False, "1", "10000")
    venue.index()
    later(venue, 20)
    slot = datetime.now(UTC) + timedelta(seconds=10)
    fanned = venue.run(SETTLE_FUNDING, slot_at=slot)
    assert len(fanned["jobs"]) == 3
    for job_id in map(UUID, fanned["jobs"]):
        row = venue.finish(job_id)
        assert (row.status, row.slot_at, row.principal) == ("succeeded", slot, "user:test")
    before = {row.market_id: row for row in venue.rows("SELECT * FROM perps_markets")}
    venue.index()
    rows = venue.rows("SELECT DISTINCT ON (market_id) * FROM perps_funding_rates ORDER BY market_id, block_number DESC")
    assert [row.market_id for row in rows] == [BTC, ETH, SOL]
    market = venue.perp.functions.markets(1).call()
    assert [rows[0].long_index_wad, rows[0].short_index_wad] == list(market[7:9])
    assert rows[0].funding_rate_wad == MAJOR.funding_factor_per_second // 2
    assert (rows[0].long_oi_wad, rows[0].short_oi_wad, rows[0].price_wad) == (3 * WAD, WAD, 60_000 * WAD)
    assert rows[0].elapsed_seconds >= 20
    after = {row.market_id: row for row in venue.rows("SELECT * FROM perps_markets")}
    assert all(after[key].last_funding_update > before[key].last_funding_update for key in before)
    assert after[BTC].last_funding_update.timestamp() == market[9]
    slots = venue.rows("SELECT * FROM perps_funding_slots ORDER BY market_id")
    intents = {row.id: row for row in venue.rows("SELECT * FROM chain_intents")}
    assert [(row.market_id, row.slot_at) for row in slots] == [(BTC, slot), (ETH, slot), (SOL, slot)]
    assert {intents[row.intent_id].status for row in slots} == {"final"}
    assert {row.action for row in intents.values()} == {"settle_funding"}


def test_a_slot_is_seen_to_once(venue: Venue) -> None:
    venue.index()
    later(venue, 5)
    slot = datetime.now(UTC) + timedelta(seconds=3)
    first = venue.finish(of_market(venue, BTC, slot_at=slot))
    again = venue.finish(of_market(venue, BTC, slot_at=slot))
    assert again.result == first.result
    assert len(venue.rows("SELECT * FROM chain_intents")) == 1


def test_a_slot_that_the_chain_has_settled_needs_no_transaction(venue: Venue) -> None:
    later(venue, 5)
    venue.act("settle_funding", int(BTC))
    venue.index()
    (market,) = venue.rows("SELECT * FROM perps_markets WHERE market_id = '1'")
    row = venue.work(of_market(venue, BTC, slot_at=market.last_funding_update))
    assert (row.status, row.result) == ("succeeded", {"settled_already": True})
    (slot,) = venue.rows("SELECT * FROM perps_funding_slots")
    assert (slot.slot_at, slot.intent_id) == (market.last_funding_update, None)
    assert venue.rows("SELECT * FROM chain_intents") == []


def test_without_a_slot_a_client_settles_now(venue: Venue) -> None:
    later(venue, 5)
    row = venue.finish(of_market(venue, ETH))
    assert row.status == "succeeded"
    venue.index()
    assert [rate.market_id for rate in venue.rows("SELECT * FROM perps_funding_rates")] == [ETH]
    assert venue.rows("SELECT * FROM perps_funding_slots") == []


def test_a_price_that_will_not_do_is_waited_for(venue: Venue) -> None:
    later(venue, 5)
    slot = datetime.now(UTC) + timedelta(seconds=3)
    venue.price("BTC-USD", "60000", conf_bps=300)
    job_id = of_market(venue, BTC, slot_at=slot)
    row = venue.work(job_id)
    assert (row.status, row.error["code"]) == ("queued", "oracle.confidence_too_wide")
    assert venue.rows("SELECT * FROM perps_funding_slots") == venue.rows("SELECT * FROM chain_intents") == []
    venue.price("BTC-USD", "60000")
    assert venue.finish(job_id).status == "succeeded"


def test_a_transaction_that_came_to_nothing_is_planned_anew(venue: Venue) -> None:
    later(venue, 5)
    slot = datetime.now(UTC) + timedelta(seconds=3)
    venue.rpc("evm_setAutomine", False)
    job_id = of_market(venue, BTC, slot_at=slot)
    assert venue.work(job_id).status == "queued"
    # It waits until its price is too old: the contract would refuse it now.
    venue.rpc("evm_increaseTime", 3600)
    venue.rpc("evm_setAutomine", True)
    venue.mine()
    row = venue.job(job_id)
    for _ in range(10):
        venue.run_watcher()
        row = venue.work(job_id)
        if row.error is not None:
            break
    assert (row.status, row.error["code"]) == ("queued", "perps.transaction_failed")
    assert venue.rows("SELECT * FROM perps_funding_slots") == []
    assert row.cursor == {"intent_id": None}


def test_an_unknown_market_and_a_deployment_without_a_key(venue: Venue, reconfigure: Reconfigure) -> None:
    row = venue.work(of_market(venue, "99"))
    assert (row.status, row.error["code"]) == ("failed", "perps.market_not_found")
    reconfigure(chain={"signer_key": None})
    assert venue.run(SETTLE_FUNDING) == {"jobs": []}
    assert venue.work(of_market(venue, BTC)).error["code"] == "perps.keeper_unavailable"
