"""What stops the keeper beside its own price: a sequencer that does not run, a jump that is not confirmed; and for how
long.
"""

from __future__ import annotations

import time

import pytest
from sqlalchemy.orm import Session

from app.core.clock import utc_now
from app.oracle.jobs import AGGREGATE_PRICES
from app.oracle.queries.aggregates import add_aggregate
from app.oracle.types.sources import Aggregate, AggregateState, NoPrice
from app.perps.jobs import LIQUIDATE, SETTLE_FUNDING
from contracts.markets import WAD
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


def aggregate(reason: NoPrice | None, price_wad: int | None) -> Aggregate:
    """What the sources of BTC came to now."""
    return Aggregate(
        symbol="BTC/USD",
        as_of=utc_now(),
        price_wad=price_wad,
        confidence_wad=None if price_wad is None else 0,
        reason=reason,
        sources=(),
        state=AggregateState(),
    )


def test_a_jump_that_is_not_confirmed_stops_the_keeper_and_a_deviation_does_not(
    venue: Venue, reconfigure: Reconfigure
) -> None:
    ticker = {"symbol": "BTC/USD", "exchange": "kraken", "market": "XXBTZUSD"}
    reconfigure(oracle={"sources": {"tickers": [ticker]}})
    long = venue.open(True, "1", "1500")
    venue.index()
    move(venue, "59000")
    with Session(venue.engine) as session:
        add_aggregate(session, aggregate(NoPrice.JUMP_UNCONFIRMED, None))
        session.commit()
    result = scanned(venue)
    assert (result["attempts"], result["unpriced"]) == ([], {BTC: "jump_unconfirmed"})
    asked = venue.work(venue.submit(LIQUIDATE, params={"protocol": NAME, "position": long}))
    assert asked.error["code"] == "oracle.jump_unconfirmed"
    assert intents(venue) == []
    with Session(venue.engine) as session:
        add_aggregate(session, aggregate(None, 50_000 * WAD))
        session.commit()
    funding = venue.work(venue.submit(SETTLE_FUNDING, params={"protocol": NAME, "market": BTC}))
    assert funding.error["code"] == "oracle.price_deviates"
    assert scanned(venue)["fates"] == {"planned": 1}
