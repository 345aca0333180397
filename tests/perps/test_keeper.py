"""The keeper's jobs from a price to the chain's own event, on a real node with signed prices."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text

from app.perps.jobs import SCAN_LIQUIDATIONS
from contracts.markets import WAD
from contracts.price_server import PriceServer
from tests.fakes.node_proxy import NodeProxy
from tests.perps.venue import BTC, NAME, Venue

pytestmark = pytest.mark.chain

Reconfigure = Callable[..., None]


def scanned(venue: Venue) -> dict[str, Any]:
    """The result of a scan."""
    result: dict[str, Any] = venue.run(SCAN_LIQUIDATIONS)[NAME]
    return result


def move(venue: Venue, price: str, **order: Any) -> None:
    """The price of BTC moves, and is recorded."""
    venue.price("BTC-USD", price, **order)
    venue.refresh()


def intents(venue: Venue) -> list[tuple[str, str, str]]:
    return [tuple(row) for row in venue.rows("SELECT action, subject, status FROM chain_intents ORDER BY created_at")]


def test_a_position_that_a_price_endangers_is_liquidated_on_chain(venue: Venue) -> None:
    long = venue.open(True, "1", "1500")
    healthy = venue.open(True, "1", "30000")
    venue.index()
    move(venue, "59000")
    result = scanned(venue)
    assert (result["markets"], result["unpriced"], result["fates"]) == (3, {}, {"planned": 1})
    (attempt,) = result["attempts"]
    assert (attempt["position"], attempt["market_id"], attempt["verdict"]) == (long, BTC, "certain")
    # The chain has ended it; our tables say so once the event is read, and not before.
    assert venue.on_chain(long)["size"] == 0
    assert venue.position(long).status == "open"
    venue.settle()
    row = venue.position(long)
    assert (row.status, row.exit_price_wad) == ("liquidated", 59_000 * WAD)
    (liquidation,) = venue.rows("SELECT * FROM perps_liquidations")
    assert (liquidation.position_key, liquidation.price_wad) == (long, 59_000 * WAD)
    assert "0x" + bytes(liquidation.liquidator).hex() == venue.keeper.lower()
    assert liquidation.fee_wad == 59_000 * WAD // 200 == Decimal(attempt["bonus"]) * WAD
    assert venue.position(healthy).status == "open"
    assert intents(venue) == [("liquidate", f"{NAME}:{long}", "final")]


def test_shorts_too_and_markets_apart(venue: Venue) -> None:
    short = venue.open(False, "1", "1500")
    venue.open(True, "10", "1000", market="2")
    venue.index()
    move(venue, "61000")
    (attempt,) = scanned(venue)["attempts"]
    assert attempt["position"] == short
    assert venue.on_chain(short)["size"] == 0


def test_the_most_urgent_first_and_no_more_than_the_cap(venue: Venue, reconfigure: Reconfigure) -> None:
    reconfigure(max_liquidations_per_scan=2)
    small = venue.open(True, "0.5", "650")
    deep = venue.open(True, "1", "1230")
    large = venue.open(True, "2", "2600")
    venue.index()
    venue.rpc("evm_setAutomine", False)
    move(venue, "59300")
    first = scanned(venue)
    assert [(one["position"], one["fate"]) for one in first["attempts"]] == [(large, "planned"), (deep, "planned")]
    assert first["more"]
    assert [Decimal(one["shortfall"]) for one in first["attempts"]] == [Decimal("639"), Decimal("389.5")]
    # Those under way are passed over, so that the third has its turn; and then there is nothing left to plan.
    assert [one["position"] for one in scanned(venue)["attempts"]] == [small]
    assert scanned(venue)["attempts"] == []
    assert len(intents(venue)) == 3
    venue.rpc("evm_setAutomine", True)
    venue.settle()
    assert {venue.position(key).status for key in (small, deep, large)} == {"liquidated"}


def test_a_wide_price_is_for_the_contract_to_judge(venue: Venue) -> None:
    long = venue.open(True, "1", "1500")
    venue.index()
    # Its margin is reached at about 59,390: inside this interval, and the price itself is on the safe side.
    move(venue, "59500", conf_bps=50)
    (attempt,) = scanned(venue)["attempts"]
    assert (attempt["verdict"], attempt["fate"], attempt["intent_id"]) == ("uncertain", "healthy", None)
    (backoff,) = venue.rows("SELECT * FROM perps_keeper_backoffs")
    assert (backoff.key, backoff.failures, backoff.reason, backoff.detail) == (long, 1, "healthy", "healthy")
    assert (backoff.until - backoff.failed_at).total_seconds() == 10
    # Left alone for a while; then asked again, and left alone for longer.
    assert scanned(venue)["attempts"] == []
    venue.execute("UPDATE perps_keeper_backoffs SET until = now() - interval '1 second'")
    assert scanned(venue)["fates"] == {"healthy": 1}
    (backoff,) = venue.rows("SELECT * FROM perps_keeper_backoffs")
    assert (backoff.failures, (backoff.until - backoff.failed_at).total_seconds()) == (2, 20)
    # On the other side of the margin the contract says yes, whatever the interval's upper end.
    venue.execute("UPDATE perps_keeper_backoffs SET until = now() - interval '1 second'")
    move(venue, "59300", conf_bps=50)
    (attempt,) = scanned(venue)["attempts"]
    assert (attempt["verdict"], attempt["fate"]) == ("uncertain", "planned")
    assert venue.on_chain(long)["size"] == 0
    assert venue.rows("SELECT * FROM perps_keeper_backoffs") == []


def test_a_price_that_has_recovered_by_now_saves_the_gas(venue: Venue) -> None:
    venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    venue.price("BTC-USD", "60000")  # not recorded yet: the transaction's own data says so
    (attempt,) = scanned(venue)["attempts"]
    assert (attempt["fate"], attempt["verdict"]) == ("safe", "safe")
    assert intents(venue) == []
    assert venue.rows("SELECT * FROM perps_keeper_backoffs") == []


def test_a_liquidation_that_does_not_pay_is_left_alone(venue: Venue, reconfigure: Reconfigure) -> None:
    venue.open(True, "0.00001", "0.015")
    venue.index()
    move(venue, "59000")
    (attempt,) = scanned(venue)["attempts"]
    assert attempt["fate"] == "unprofitable"
    assert Decimal(attempt["bonus"]) < Decimal(attempt["cost"])
    (backoff,) = venue.rows("SELECT * FROM perps_keeper_backoffs")
    assert (backoff.reason, (backoff.until - backoff.failed_at).total_seconds()) == ("unprofitable", 30)
    # A protocol that keeps itself may be ready to pay for it.
    reconfigure(min_profit_usd=Decimal(-100))
    venue.execute("DELETE FROM perps_keeper_backoffs")
    assert scanned(venue)["fates"] == {"planned": 1}


def test_without_a_price_of_the_gas_coin_nothing_is_sent(venue: Venue, reconfigure: Reconfigure) -> None:
    reconfigure(native_feed="XYZ/USD")
    venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    job_id = venue.submit(SCAN_LIQUIDATIONS)
    row = venue.work(job_id)
    assert (row.status, row.error["code"]) == ("queued", "oracle.price_missing")
    assert intents(venue) == []
    reconfigure(native_feed=None)
    assert venue.work(job_id).result[NAME]["fates"] == {"planned": 1}


def test_a_stale_price_endangers_nobody(venue: Venue) -> None:
    venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    venue.execute("UPDATE oracle_feeds SET publish_time = now() - interval '400 seconds' WHERE symbol = 'BTC/USD'")
    result = scanned(venue)
    assert (result["markets"], result["unpriced"], result["attempts"]) == (2, {BTC: "stale"}, [])
    venue.refresh()
    assert scanned(venue)["fates"] == {"planned": 1}


def test_without_update_data_nothing_is_sent_and_the_next_scan_tries_again(
    venue: Venue, price_server: PriceServer
) -> None:
    venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    venue.price("BTC-USD", "59000", stale_seconds=70)
    (attempt,) = scanned(venue)["attempts"]
    assert (attempt["fate"], attempt["intent_id"]) == ("unreached", None)
    assert "old" in attempt["detail"]
    assert (intents(venue), venue.rows("SELECT * FROM perps_keeper_backoffs")) == ([], [])
    venue.price("BTC-USD", "59000")
    assert scanned(venue)["fates"] == {"planned": 1}


def test_one_that_another_keeper_took_is_gone(venue: Venue) -> None:
    long = venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    venue.act("liquidate", int(long))
    assert scanned(venue)["fates"] == {"gone": 1}
    assert (intents(venue), venue.rows("SELECT * FROM perps_keeper_backoffs")) == ([], [])
    venue.index()
    (liquidation,) = venue.rows("SELECT * FROM perps_liquidations")
    assert "0x" + bytes(liquidation.liquidator).hex() == venue.trader.lower()
    assert scanned(venue)["attempts"] == []


def test_a_node_that_is_away_is_a_failure_and_no_verdict(venue: Venue, reconfigure: Reconfigure) -> None:
    venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    reconfigure(chain={"rpc_urls": ("http://127.0.0.1:1",)})
    row = venue.work(venue.submit(SCAN_LIQUIDATIONS))
    assert (row.status, row.error["code"]) == ("queued", "chain.node_unreachable")
    assert (intents(venue), venue.rows("SELECT * FROM perps_keeper_backoffs")) == ([], [])


def test_without_a_key_the_scan_says_what_it_sees(venue: Venue, reconfigure: Reconfigure) -> None:
    venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    reconfigure(chain={"signer_key": None})
    assert scanned(venue)["fates"] == {"seen": 1}
    assert intents(venue) == []


def test_what_is_sent_goes_through_no_node_that_others_are_preferred_to(
    venue: Venue, reconfigure: Reconfigure, engine: Engine, venue_node: tuple[str, Any, Any]
) -> None:
    node_url, *_ = venue_node
    proxy = NodeProxy(node_url)
    reconfigure(chain={"rpc_urls": (SecretStr(proxy.url), SecretStr(node_url))})
    with engine.begin() as connection:
        values = {"name": urlsplit(proxy.url).netloc}
        connection.execute(
            text(
                "INSERT INTO chain_providers (chain_id, provider, failures, openings, opened_at, retry_at)"
                " VALUES (31339, :name, 3, 1, now(), now() + interval '1 hour')"
            ),
            values,
        )
    venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    asked = len(proxy.seen)
    assert scanned(venue)["fates"] == {"planned": 1}
    assert proxy.seen[asked:] == []
    proxy.close()
