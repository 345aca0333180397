"""The keeper's jobs from a price to the chain's own event, on a real node with signed prices."""

from __future__ import annotations

import pytest

from app.perps.jobs import SCAN_LIQUIDATIONS
from contracts.markets import WAD
from tests.perps.venue import BTC, NAME, Venue

pytestmark = pytest.mark.chain


def test_a_position_that_a_price_endangers_is_liquidated_on_chain(venue: Venue) -> None:
    long = venue.open(True, "1", "1500")
    healthy = venue.open(True, "1", "30000")
    venue.index()
    venue.price("BTC-USD", "59000")
    venue.refresh()
    result = venue.run(SCAN_LIQUIDATIONS)[NAME]
    assert (result["markets"], result["unpriced"], result["fates"]) == (3, {}, {"planned": 1})
    (attempt,) = result["attempts"]
    assert (attempt["position"], attempt["market_id"], attempt["verdict"]) == (long, BTC, "certain")
    # The chain has ended it; our tables say so once the event is read.
    assert venue.on_chain(long)["size"] == 0
    assert venue.position(long).status == "open"
    venue.settle()
    row = venue.position(long)
    assert (row.status, row.exit_price_wad) == ("liquidated", 59_000 * WAD)
    (liquidation,) = venue.rows("SELECT * FROM perps_liquidations")
    assert (liquidation.position_key, liquidation.price_wad) == (long, 59_000 * WAD)
    assert "0x" + bytes(liquidation.liquidator).hex() == venue.keeper.lower()
    assert liquidation.fee_wad == 59_000 * WAD // 200
    assert venue.position(healthy).status == "open"
    assert [row.status for row in venue.rows("SELECT status FROM chain_intents")] == ["final"]
