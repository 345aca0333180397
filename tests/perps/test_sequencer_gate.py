"""While a rollup's sequencer does not run nothing is liquidated and no funding is settled; afterwards, by itself."""

from __future__ import annotations

import time

import pytest

from app.oracle.jobs import AGGREGATE_PRICES
from app.perps.jobs import LIQUIDATE, SETTLE_FUNDING
from tests.oracle.chainlink_feeds import Feeds
from tests.perps.test_keeper import Reconfigure, intents, move, scanned
from tests.perps.venue import BTC, NAME, Venue

pytestmark = pytest.mark.chain


def test_a_stopped_sequencer_stops_the_keeper_and_a_running_one_sets_it_free(
    venue: Venue, reconfigure: Reconfigure, venue_node: tuple[str, object, object]
) -> None:
    feeds = Feeds(venue_node[0])
    uptime = feeds.aggregator(1, decimals=0)
    hour_ago = int(time.time()) - 3600
    feeds.answer(uptime, 1, 1, hour_ago, hour_ago)
    reconfigure(oracle={"sequencer": {"feed": uptime.address, "grace_seconds": 600}})
    long = venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")

    assert set(scanned(venue)["unpriced"].values()) == {"sequencer_unknown"}
    venue.run(AGGREGATE_PRICES)
    result = scanned(venue)
    assert (result["attempts"], set(result["unpriced"].values())) == ([], {"sequencer_down"})
    asked = venue.work(venue.submit(LIQUIDATE, params={"protocol": NAME, "position": long}))
    settled = venue.work(venue.submit(SETTLE_FUNDING, params={"protocol": NAME, "market": BTC}))
    assert (asked.error["code"], settled.error["code"]) == ("oracle.sequencer_down", "oracle.sequencer_down")
    assert intents(venue) == []

    feeds.answer(uptime, 2, 0, hour_ago + 3500, hour_ago + 3500)
    venue.run(AGGREGATE_PRICES)
    assert set(scanned(venue)["unpriced"].values()) == {"sequencer_starting"}
    feeds.answer(uptime, 3, 0, hour_ago, hour_ago)
    venue.run(AGGREGATE_PRICES)
    assert scanned(venue)["fates"] == {"planned": 1}
    assert venue.on_chain(long)["size"] == 0
    feeds.ground.close()
