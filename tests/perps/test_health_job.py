"""Health as a job: of a position, an account, a market; fail closed, and the contract's word where prices are wide."""

from __future__ import annotations

from typing import Any

import pytest

from app.perps.jobs import CHECK_HEALTH
from tests.perps.test_keeper import Reconfigure, move
from tests.perps.venue import BTC, ETH, NAME, Venue

pytestmark = pytest.mark.chain


def checked(venue: Venue, **params: Any) -> dict[str, Any]:
    result: dict[str, Any] = venue.run(CHECK_HEALTH, params=params)
    return result


def refused(venue: Venue, **params: Any) -> tuple[str, str]:
    row = venue.work(venue.submit(CHECK_HEALTH, params=params))
    return row.status, row.error["code"]


def test_of_a_position(venue: Venue) -> None:
    key = venue.open(True, "1", "1500")
    venue.index()
    (found,) = checked(venue, protocol=NAME, position=key)["positions"]
    assert (found["health"]["verdict"], found["health"]["health_factor"]) == ("safe", "1.633333")
    move(venue, "59000")
    (found,) = checked(venue, protocol=NAME, position=key)["positions"]
    assert found["health"]["verdict"] == "certain"
    venue.act("liquidate", int(key))
    venue.index()
    (found,) = checked(venue, protocol=NAME, position=key)["positions"]
    assert (found["status"], found["health"], found["health_reason"]) == ("liquidated", None, "ended")


def test_an_error_is_never_a_health(venue: Venue) -> None:
    key = venue.open(True, "1", "1500")
    venue.index()
    assert refused(venue, protocol=NAME, position="9") == ("failed", "perps.position_not_found")
    assert refused(venue, protocol=NAME, market="9") == ("failed", "perps.market_not_found")
    move(venue, "59000", conf_bps=300)
    assert refused(venue, protocol=NAME, position=key) == ("queued", "perps.health_unknown")
    assert refused(venue, protocol=NAME, market=BTC) == ("queued", "perps.health_unknown")


def test_of_an_account_each_position_for_itself(venue: Venue) -> None:
    btc = venue.open(True, "1", "1500")
    eth = venue.open(False, "1", "100", market=ETH)
    venue.index()
    move(venue, "59000", conf_bps=300)
    result = checked(venue, account=venue.trader)
    found = {one["key"]: one for one in result["positions"]}
    assert (found[btc]["health"], found[btc]["health_reason"]) == (None, "confidence_too_wide")
    assert found[eth]["health"]["verdict"] == "safe"
    assert (result["count"], result["more"]) == (2, False)
    assert checked(venue, account=venue.keeper)["positions"] == []


def test_of_a_market_the_endangered(venue: Venue) -> None:
    venue.open(True, "1", "30000")
    deep = venue.open(True, "1", "1500")
    venue.index()
    assert checked(venue, protocol=NAME, market=BTC)["positions"] == []
    move(venue, "59000")
    assert [one["key"] for one in checked(venue, protocol=NAME, market=BTC)["positions"]] == [deep]


def test_what_the_price_is_too_wide_to_tell_the_contract_does(venue: Venue, reconfigure: Reconfigure) -> None:
    key = venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59500", conf_bps=50)
    result = checked(venue, protocol=NAME, position=key)
    assert result["positions"][0]["health"]["verdict"] == "uncertain"
    assert result["simulated"] == {f"{NAME}:{key}": "healthy"}
    move(venue, "59300", conf_bps=50)
    assert checked(venue, protocol=NAME, position=key)["simulated"] == {f"{NAME}:{key}": "liquidatable"}
    assert venue.rows("SELECT * FROM chain_intents") == []  # asked, and nothing done
    reconfigure(chain={"signer_key": None})
    assert checked(venue, protocol=NAME, position=key)["simulated"] == {}
