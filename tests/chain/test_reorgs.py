"""Reorgs on a real node: whatever the chain does, the tables end equal to a clean index of what it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text

from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.types.indexing import IndexOptions, RangeLimits
from tests.chain.conftest import Indexer, assert_clean, contract_set, grow, reindexed, replaced
from tests.chain.emitter import Chain

pytestmark = pytest.mark.chain


@pytest.mark.parametrize("depth", [1, 2, 3, 7, 8, 12, 30])
def test_a_reorg_at_the_same_height_heals_at_once(chain: Chain, indexer: Indexer, clean: Indexer, depth: int) -> None:
    grow(chain, 35)
    indexer.run()
    before = indexer.state()
    chain.reorg(depth, *replaced(chain, depth))
    report = indexer.run()
    assert report.rewinds == 1
    assert indexer.state()["events"] != before["events"]
    assert_clean(indexer, clean, chain)


def test_a_reorg_with_the_chain_growing_on(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    grow(chain, 20)
    indexer.run()
    chain.reorg(7, *replaced(chain, 7))
    grow(chain, 4)
    indexer.run()
    assert_clean(indexer, clean, chain)


def test_a_shorter_chain_heals_at_once(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    grow(chain, 20)
    indexer.run()
    chain.rollback(3)
    report = indexer.run()
    assert (report.rewinds, report.next_block) == (1, chain.head() + 1)
    assert_clean(indexer, clean, chain)


def test_seven_blocks_replaced_by_three(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    grow(chain, 20)
    indexer.run()
    chain.rollback(7)
    grow(chain, 3)
    indexer.run()
    assert_clean(indexer, clean, chain)


@pytest.mark.parametrize("change", ["7 deep", "same height", "7 by 3", "122 deep", "while stopped"])
def test_the_reorgs_that_are_promised_to_heal(
    change: str, chain: Chain, indexer: Indexer, clean: Indexer, provider: Provider
) -> None:
    grow(chain, 10)
    chain.mine(120)
    grow(chain, 10)
    indexer.run()
    if change == "7 by 3":
        chain.rollback(7)
        grow(chain, 3)
    else:
        depth = {"same height": 1, "122 deep": 122}.get(change, 7)
        chain.reorg(depth, *replaced(chain, depth))
    if change == "while stopped":  # and nobody remembers what was before
        grow(chain, 4)
        chain.reorg(6, *replaced(chain, 6))
        indexer.engine.dispose()
        indexer.providers = Providers([provider])
    assert indexer.run().rewinds == 1
    assert_clean(indexer, clean, chain)


def test_a_reorg_seen_by_one_set_rewinds_the_others(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    late = replace(indexer, contracts=contract_set(chain, name="late", start_block=8))
    unread = replace(indexer, contracts=contract_set(chain, name="unread", start_block=30))
    grow(chain, 20)
    indexer.run()
    late.run(last_block=12)
    unread.run()
    chain.reorg(15, *replaced(chain, 15))
    assert late.run().rewinds == 1
    assert indexer.run().rewinds == 0  # rewound with the other
    unread.run()
    assert indexer.rows("SELECT name, next_block, rewinds FROM chain_cursors ORDER BY name") == [
        ("emitter", chain.head() + 1, 1),
        ("late", chain.head() + 1, 1),
        ("unread", 30, 0),
    ]
    expected = reindexed(clean)
    state = indexer.state()
    assert {table: state[table] for table in ("events", "headers", "moves", "sums")} == {
        table: expected[table] for table in ("events", "headers", "moves", "sums")
    }


def test_a_reorg_below_a_gap_is_found_though_what_another_set_read_above_it_agrees(
    chain: Chain, indexer: Indexer, clean: Indexer
) -> None:
    grow(chain, 12)
    indexer.run()
    chain.reorg(3, *replaced(chain, 3))
    grow(chain, 30)
    above = replace(indexer, contracts=contract_set(chain, name="above", start_block=20))
    above.run()
    report = indexer.run()
    assert (report.rewinds, report.behind) == (1, False)
    above.run()
    state, expected = indexer.state(), reindexed(clean)
    assert {table: state[table] for table in ("events", "headers", "moves", "sums")} == {
        table: expected[table] for table in ("events", "headers", "moves", "sums")
    }


def test_a_fork_met_after_ranges_were_recorded_is_healed_in_the_same_call(
    chain: Chain, indexer: Indexer, clean: Indexer
) -> None:
    grow(chain, 8)
    indexer.run()
    grow(chain, 12)
    above = replace(indexer, contracts=contract_set(chain, name="above", start_block=18))
    above.run()
    chain.reorg(6, *replaced(chain, 6))
    indexer.options = IndexOptions(limits=RangeLimits(max_blocks=2))
    assert indexer.run().rewinds == 1
    above.run()
    indexer.options = IndexOptions()
    state, expected = indexer.state(), reindexed(clean)
    assert {table: state[table] for table in ("events", "headers", "moves", "sums")} == {
        table: expected[table] for table in ("events", "headers", "moves", "sums")
    }


def test_headers_left_by_a_set_that_is_gone_do_not_stop_the_others(
    chain: Chain, indexer: Indexer, clean: Indexer
) -> None:
    grow(chain, 12)
    indexer.run(last_block=10)
    replace(indexer, contracts=contract_set(chain, name="gone")).run()
    chain.reorg(2, *replaced(chain, 2))
    assert indexer.run().rewinds == 1
    state, expected = indexer.state(), reindexed(clean)
    assert state["events"] == expected["events"]
    assert state["sums"] == expected["sums"]


def test_a_set_whose_own_last_block_was_never_in_the_chain_is_read_anew(
    chain: Chain, indexer: Indexer, clean: Indexer
) -> None:
    grow(chain, 20)
    indexer.options = IndexOptions(header_depth=4)
    indexer.run()
    late = replace(indexer, contracts=contract_set(chain, name="late", start_block=1), projections=indexer.projections)
    late.run(last_block=9)
    with indexer.engine.begin() as connection:
        connection.execute(text("UPDATE chain_cursors SET tip_hash = :lie WHERE name = 'late'"), {"lie": bytes(32)})
    assert late.run().rewinds == 1
    indexer.run()
    state, expected = indexer.state(), reindexed(clean)
    assert state["events"] == expected["events"]
    assert state["sums"] == expected["sums"]
    assert indexer.rows("SELECT DISTINCT next_block FROM chain_cursors") == [(chain.head() + 1,)]
