"""Funding by our own authority: each slot once, in order, by the chain as it was then; after outages and reorgs too."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from app.chain.types.blocks import Event
from app.core.clock import rfc3339
from app.oracle.errors import PriceMissing
from app.perps.jobs import SETTLE_FUNDING
from app.perps.maths.slots import next_slot
from app.perps.services.lists import Asked, Slice, funding_page, get_market
from app.perps.services.position_folds import fold_again
from app.perps.services.shown import show_funding, show_market
from contracts.markets import MAJOR, WAD
from tests.perps.computed import SLOT_SECONDS, Clocked, at, computed_file, computed_protocol, slot
from tests.perps.history import CHAIN_ID, Said, closed, market_added, market_updated, opened
from tests.perps.test_keeper import Reconfigure
from tests.perps.venue import NAME, Venue

FACTOR = MAJOR.funding_factor_per_second


@pytest.fixture
def told(session: Session) -> Clocked:
    return Clocked(session)


def settlements(told: Clocked, market: str = "1") -> list[dict[str, Any]]:
    return [row for row in told.rows("perps_funding_rates") if row["market_id"] == market]


def position(told: Clocked, key: int) -> dict[str, Any]:
    (row,) = [row for row in told.rows("perps_positions") if row["key"] == str(key)]
    return row


def test_slots_are_whole_multiples_of_utc() -> None:
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert next_slot(noon, 3600) == noon + timedelta(hours=1)
    assert next_slot(noon - timedelta(microseconds=1), 3600) == noon
    assert next_slot(noon + timedelta(seconds=59), 60) == noon + timedelta(minutes=1)


def test_a_slot_is_settled_by_the_chain_as_it_was_then(told: Clocked) -> None:
    """Slot 1 is second 40, between the blocks 3 and 4: of what block 4 and later ones say it knows nothing."""
    told.fold(0, market_added(1))
    told.fold(2, opened(1, size=3 * WAD), opened(2, is_long=False, size=WAD))
    told.fold(4, opened(3, size=5 * WAD), market_updated(1, funding_factor_per_second=FACTOR * 7))
    told.fold(6)
    told.price(slot(1) - timedelta(seconds=10), 1000)
    told.price(slot(1) + timedelta(seconds=1), 2000)
    done = told.settle(slot(1))
    assert (done.count, done.last, done.waiting) == (1, slot(1), None)
    (row,) = settlements(told)
    rate = FACTOR * 2 // 4
    assert (row["long_oi_wad"], row["short_oi_wad"], row["funding_rate_wad"]) == (3 * WAD, WAD, rate)
    assert (row["settled_at"], row["elapsed_seconds"], row["price_wad"]) == (slot(1), 40, 1000 * WAD)
    assert (row["long_index_wad"], row["short_index_wad"]) == (rate * 40 * 1000, -3 * rate * 40 * 1000)
    # It stands before the first event of the first block after it, and is no event's.
    assert (row["block_number"], row["log_index"], row["transaction_hash"]) == (4, -1, None)
    (market,) = told.rows("perps_markets")
    assert (market["long_funding_index_wad"], market["last_funding_update"]) == (row["long_index_wad"], slot(1))
    assert (market["total_long_wad"], market["total_short_wad"]) == (8 * WAD, WAD)


def test_what_opened_after_the_slot_owes_nothing_of_it(told: Clocked) -> None:
    """Though it was folded in before the slot was settled; and who closed since pays for it."""
    told.fold(0, market_added(1))
    told.fold(2, opened(1, size=3 * WAD), opened(2, is_long=False, size=WAD), opened(4, is_long=False, size=WAD))
    told.fold(4, opened(3, size=5 * WAD), closed(1), closed(4, realized_pnl=0))
    told.fold(6)
    told.price(slot(1), 1000)
    told.settle(slot(1))
    (row,) = settlements(told)
    longs, shorts = row["long_index_wad"], row["short_index_wad"]
    assert (position(told, 3)["entry_funding_index_wad"], position(told, 2)["entry_funding_index_wad"]) == (longs, 0)
    assert position(told, 1)["accumulated_funding_wad"] == 3 * longs
    assert position(told, 4)["accumulated_funding_wad"] == shorts < 0
    entries = {(one["position_key"], one["block_number"]): one for one in told.rows("perps_pnl_entries")}
    assert entries["1", 4]["funding_paid_wad"] == 3 * longs
    # Conserved: what the longs owe is what the shorts have coming, to the rounding.
    assert 0 <= 3 * longs + 2 * shorts < 2


def test_what_happens_in_the_slots_own_second_belongs_to_it(session: Session) -> None:
    """Slots of 64 seconds: the third, 192, is the sixteenth block's own second."""
    ours = computed_protocol()
    funding = ours.section.funding.model_copy(update={"slot_seconds": 64})
    told = Clocked(session, replace(ours, section=ours.section.model_copy(update={"funding": funding})))
    third = at(16)
    assert (third - at(0)).total_seconds() == 3 * 64
    told.fold(0, market_added(1))
    told.fold(2, opened(1, size=3 * WAD), opened(2, is_long=False, size=WAD))
    told.fold(16, opened(3, size=2 * WAD), closed(2, realized_pnl=0), opened(4, is_long=False, size=2 * WAD))
    told.fold(17, opened(5, size=WAD))
    told.price(third, 1000)
    told.price(third + timedelta(seconds=1), 2000)
    told.settle(third)
    first, _, last = sorted(settlements(told), key=lambda row: row["settled_at"])
    assert (last["settled_at"], last["block_number"]) == (third, 17)
    assert (last["long_oi_wad"], last["short_oi_wad"], last["price_wad"]) == (5 * WAD, 2 * WAD, 1000 * WAD)
    before = settlements_index(told, 128)
    # So who opened in it owes it, and who closed in it does not.
    assert position(told, 3)["entry_funding_index_wad"] == before[0]
    assert position(told, 2)["accumulated_funding_wad"] == before[1]
    assert position(told, 5)["entry_funding_index_wad"] == last["long_index_wad"] != before[0]
    assert first["long_index_wad"] < before[0]
    # Folded from the beginning, now that the slot is settled, they are the same.
    held = told.rows("perps_positions")
    fold_again(session, told.protocol, ["2", "3", "4", "5"])
    assert told.rows("perps_positions") == held


def settlements_index(told: Clocked, second: int) -> tuple[int, int]:
    """Both indexes of the slot that many seconds after the genesis."""
    (row,) = [one for one in settlements(told) if one["settled_at"] == at(0) + timedelta(seconds=second)]
    return row["long_index_wad"], row["short_index_wad"]


def test_a_slot_waits_for_a_final_block_after_it(told: Clocked) -> None:
    told.fold(0, market_added(1))
    told.price(slot(1), 1000)
    told.fold(3)
    assert (told.settle(slot(1)).waiting, settlements(told)) == (slot(1), [])
    told.fold(5, final=False)
    told.stands(5, 3)
    assert told.settle(slot(1)).waiting == slot(1)
    told.stands(5, 4)
    assert told.settle(slot(1)).waiting is None
    assert [row["block_number"] for row in settlements(told)] == [4]


def test_after_an_outage_every_slot_is_settled_once_and_in_order(told: Clocked) -> None:
    told.fold(0, market_added(1))
    told.fold(2, opened(1, size=3 * WAD), opened(2, is_long=False, size=WAD))
    told.fold(60)
    for number in range(1, 11):
        told.price(slot(number), 1000 + number)
    commits: list[int] = []
    done = told.settle(slot(10), commit=lambda: commits.append(len(settlements(told))))
    assert (done.count, commits) == (10, list(range(1, 11)))
    rows = sorted(settlements(told), key=lambda row: row["settled_at"])
    assert [row["settled_at"] for row in rows] == [slot(number) for number in range(1, 11)]
    assert [row["elapsed_seconds"] for row in rows] == [40, *[SLOT_SECONDS] * 9]
    assert [row["price_wad"] for row in rows] == [(1000 + number) * WAD for number in range(1, 11)]
    again = told.settle(slot(10))
    assert (again.count, again.last, len(settlements(told))) == (0, None, 10)


def test_a_price_that_is_not_there_is_waited_for_and_holds_up_no_other_market(told: Clocked) -> None:
    told.fold(0, market_added(1), market_added(2))
    told.fold(60)
    told.price(slot(1) - timedelta(seconds=31), 900)  # too old by a second
    told.price(slot(1), 950, conf=10)  # and too wide, by half a unit of 1 %
    for number in (1, 2):
        told.price(slot(number), 100, market=2)
    with pytest.raises(PriceMissing) as missing:
        told.settle(slot(2))
    assert missing.value.facts["markets"] == ["1"]
    assert (len(settlements(told)), len(settlements(told, "2"))) == (0, 2)
    told.price(slot(2) + timedelta(seconds=5), 1000)
    told.settle(slot(2))
    # The first one after the slot has to do for both.
    assert [row["price_wad"] for row in settlements(told)] == [1000 * WAD] * 2


def test_an_event_that_comes_late_opens_its_slots_again(told: Clocked) -> None:
    """As one does that a node had left out: what is settled is what would have been, had it been there."""
    told.fold(0, market_added(1))
    told.fold(2, opened(1, size=3 * WAD), opened(2, is_long=False, size=WAD))
    late = told.mine(3, [opened(3, size=4 * WAD)])
    told.fold(9, opened(4, size=WAD))
    told.fold(20)
    for number in (1, 2, 3):
        told.price(slot(number), 1000)
    told.settle(slot(3))
    told.projection.apply(told.session, late)
    assert settlements(told) == []
    told.settle(slot(3))
    rows = sorted(settlements(told), key=lambda row: row["settled_at"])
    assert [row["long_oi_wad"] for row in rows] == [7 * WAD, 7 * WAD, 8 * WAD]
    told.projection.forget(told.session, CHAIN_ID, [event.log for event in late])
    assert settlements(told) == []


def test_a_fork_opens_its_slots_again(told: Clocked) -> None:
    told.fold(0, market_added(1))
    told.fold(2, opened(1, size=3 * WAD), opened(2, is_long=False, size=WAD))
    for number in (1, 2, 3):
        told.price(slot(number), 1000)
    told.fold(9, opened(3, size=2 * WAD))
    told.fold(20)
    told.settle(slot(3))
    first, second, third = sorted(settlements(told), key=lambda row: row["settled_at"])
    # Slot 2 is second 100, its block the ninth.
    assert [row["block_number"] for row in (first, second, third)] == [4, 9, 14]
    assert position(told, 3)["entry_funding_index_wad"] == second["long_index_wad"]
    told.undo(9)
    assert settlements(told) == [first]
    (market,) = told.rows("perps_markets")
    assert (market["long_funding_index_wad"], market["last_funding_update"]) == (first["long_index_wad"], slot(1))
    told.fold(9, opened(3, size=WAD))
    told.fold(20)
    told.settle(slot(3))
    rows = sorted(settlements(told), key=lambda row: row["settled_at"])
    assert rows[1] == second | {"block_hash": rows[1]["block_hash"]}
    assert [row["long_oi_wad"] for row in rows] == [3 * WAD, 3 * WAD, 4 * WAD]


@pytest.mark.chain
def test_the_job_settles_what_is_due(venue: Venue, reconfigure: Reconfigure, tmp_path: Path) -> None:
    """A job for the whole protocol, found by the round; snoozed until the chain is past the slot and final."""
    venue.execute("UPDATE perps_markets SET last_funding_update = now() - interval '5 minutes'")
    before = venue.rows("SELECT last_funding_update FROM perps_markets")[0].last_funding_update
    reconfigure(chain={"protocol_files": (str(computed_file(tmp_path)),), "signer_key": None})
    late = datetime.now(UTC) + timedelta(seconds=SLOT_SECONDS)
    (job_id,) = venue.run(SETTLE_FUNDING, slot_at=late)["jobs"]
    row = venue.work(UUID(job_id))
    assert (row.status, row.params) == ("queued", {"protocol": NAME, "market": None})
    assert row.error is None
    venue.rpc("evm_increaseTime", 2 * SLOT_SECONDS)
    venue.mine(2)
    venue.index()
    row = venue.work(UUID(job_id))
    assert row.status == "succeeded", row.error
    first = next_slot(before, SLOT_SECONDS)
    last = next_slot(late, SLOT_SECONDS) - timedelta(seconds=SLOT_SECONDS)
    slots = 1 + (last - first) // timedelta(seconds=SLOT_SECONDS)
    assert row.result["last"] == rfc3339(last)  # some of those before it the first attempt settled
    rows = venue.rows("SELECT * FROM perps_funding_rates WHERE market_id = '1' ORDER BY settled_at")
    assert [one.settled_at for one in rows] == [first + timedelta(seconds=SLOT_SECONDS * n) for n in range(slots)]
    assert {one.log_index for one in rows} == {-1}
    with Session(venue.engine) as session:
        seeing, now = venue.runtime.perps, datetime.now(UTC)
        market, views = get_market(session, NAME, "1", seeing=seeing, now=now)
        page = funding_page(session, Asked(protocol=NAME, market="1"), Slice(None, 1), seeing=seeing)
    shown = show_market(market, views)["provisional_funding"]
    assert shown["settles_at"] == rfc3339(next_slot(now, SLOT_SECONDS))
    assert show_funding(page.items[0])["place"] | {"block_hash": "", "block_number": 0} == {
        "block_number": 0,
        "block_hash": "",
        "transaction_hash": None,
        "log_index": None,
        "at": rfc3339(last),
    }
    assert page.next_cursor is not None
    assert venue.work(venue.submit(SETTLE_FUNDING, params={"protocol": NAME, "market": "99"})).error["code"] == (
        "perps.market_not_found"
    )


MARKETS = st.integers(1, 2)
amounts = st.integers(1, 5).map(lambda units: units * WAD)
said = st.one_of(
    st.builds(market_added, MARKETS),
    st.builds(market_updated, MARKETS, funding_factor_per_second=st.integers(0, FACTOR)),
    *[
        st.builds(
            lambda key, size, is_long: opened(key, market_id=1 + key % 2, size=size, is_long=is_long),
            st.integers(1, 4),
            amounts,
            st.booleans(),
        )
    ]
    * 2,
    st.builds(lambda key: closed(key, market_id=1 + key % 2), st.integers(1, 4)),
)
steps = st.lists(st.tuples(st.sampled_from(["forward", "forward", "settle", "undo"]), st.integers(1, 6)), max_size=8)
LAW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@LAW
@given(steps, st.data())
def test_settled_on_the_way_or_at_the_end_is_the_same(
    session: Session, steps: list[tuple[str, int]], data: st.DataObject
) -> None:
    """The law: any order of blocks, settlements and reorgs ends equal to blocks alone, settled at the end."""
    session.rollback()
    told = Clocked(session)
    listing: list[Said] = [market_added(1), market_added(2)]
    chain: list[list[Event]] = [told.mine(0, listing)]
    told.projection.apply(session, chain[0])
    for number in range(30):
        told.price(slot(number), 1000 + number)
        told.price(slot(number), 100 + number, market=2)
    for what, count in steps:
        if what == "undo" and len(chain) > count:
            told.undo(len(chain) - count)
            chain = chain[: len(chain) - count]
        elif what == "settle":
            told.stands(told.height, told.height)
            told.settle(at(told.height))
        elif what == "forward":
            first = len(chain)
            for number in range(first, first + count):
                chain.append(told.mine(number, data.draw(st.lists(said, max_size=3))))
            told.projection.apply(session, [event for events in chain[first:] for event in events])
    told.stands(told.height, told.height)
    told.settle(at(told.height))
    assert told.state() == told.settle_clean(chain, at(told.height))
