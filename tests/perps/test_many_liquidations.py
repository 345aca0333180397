"""Two hundred positions crossing at once, on a real node through the real sender: all, once, the most urgent first."""

from __future__ import annotations

from decimal import Decimal

import pytest
from web3.logs import DISCARD

from app.perps.jobs import SCAN_LIQUIDATIONS
from contracts.markets import WAD
from tests.contracts.exchange import NO_LIMIT_UP, wad
from tests.perps.test_keeper import move
from tests.perps.venue import BTC, GAS, NAME, Venue

pytestmark = pytest.mark.chain

COUNT = 200


def open_many(venue: Venue) -> list[str]:
    """Longs of a tenth of a BTC, each with another margin; their keys, those with the least margin first."""
    data = venue.update_data(BTC)
    hashes = []
    for number in range(COUNT):
        collateral = wad("125") + number * WAD // 10
        call = venue.perp.encode_abi("open", [int(BTC), True, wad("0.1"), collateral, NO_LIMIT_UP, data])
        fields = {"from": venue.trader, "to": venue.perp.address, "data": call, "value": "0x1", "gas": hex(GAS)}
        hashes.append(venue.rpc("eth_sendTransaction", fields))
    keys = []
    for digest in hashes:
        receipt = venue.w3.eth.wait_for_transaction_receipt(digest, poll_latency=0.01)
        (event,) = venue.perp.events.PositionOpened().process_receipt(receipt, errors=DISCARD)
        keys.append(str(event["args"]["position_id"]))
    return keys


def test_two_hundred_positions_cross_at_once(venue: Venue) -> None:
    keys = open_many(venue)
    venue.index()
    move(venue, "59000")
    order: list[str] = []
    shortfalls: list[Decimal] = []
    rounds = 0
    while len(order) < COUNT:
        rounds += 1
        assert rounds <= COUNT, "the scans find nothing more"
        result = venue.run(SCAN_LIQUIDATIONS)[NAME]
        assert set(result["fates"]) <= {"planned"}
        order += [attempt["position"] for attempt in result["attempts"]]
        shortfalls += [Decimal(attempt["shortfall"]) for attempt in result["attempts"]]
        venue.run_watcher()  # some are final by then, and the indexer has read none
    assert (order, shortfalls) == (keys, sorted(shortfalls, reverse=True))
    venue.settle(rounds=100)
    assert venue.rows("SELECT status, count(*) FROM perps_positions GROUP BY status") == [("liquidated", COUNT)]
    # On chain, too, one after the other in that order; and no transaction was sent in vain.
    mined = venue.rows("SELECT position_key FROM perps_liquidations ORDER BY block_number, log_index")
    assert [row.position_key for row in mined] == keys
    assert venue.rows("SELECT status, count(*) FROM chain_intents GROUP BY status") == [("final", COUNT)]
    assert venue.rows("SELECT count(*) FROM chain_attempts WHERE outcome = 'mined'") == [(COUNT,)]
