"""Reorgs on a real node: whatever the chain does, the tables end equal to a clean index of what it is."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.queries.cursors import resume
from app.chain.types.indexing import Finality, IndexOptions
from tests.chain.conftest import CHAIN_ID, Indexer, contract_set, reindexed
from tests.chain.emitter import Chain
from tests.chain.steps import assert_clean, grow, replaced

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


def test_a_reorg_below_finality_is_rewound_and_raises_an_alarm(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    grow(chain, 30)
    indexer.run()
    ((final,),) = indexer.rows("SELECT final_block FROM chain_cursors")
    chain.reorg(20, *replaced(chain, 20))
    indexer.run()
    alarms = indexer.rows("SELECT kind, detail->>'from_block', detail->>'final_block' FROM chain_alarms")
    assert alarms == [("fork_below_finality", str(chain.head() - 19), str(final))]
    assert_clean(indexer, clean, chain)
    assert indexer.run().rewinds == 0


def test_a_shallow_reorg_raises_no_alarm(chain: Chain, indexer: Indexer) -> None:
    grow(chain, 30)
    indexer.run()
    chain.reorg(7)
    indexer.run()
    assert indexer.rows("SELECT * FROM chain_alarms") == []


def test_a_fork_below_every_kept_header_rewinds_to_the_start(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    indexer.options = IndexOptions(header_depth=5)
    clean.options = indexer.options
    indexer.contracts = clean.contracts = contract_set(chain, start_block=2)
    grow(chain, 30)
    indexer.run()
    chain.reorg(25, *replaced(chain, 25))
    assert indexer.run().rewinds == 1
    # Block 2, kept for good, is common: what follows it was read again.
    assert indexer.rows("SELECT rewinds FROM chain_cursors") == [(1,)]
    assert indexer.rows("SELECT kind FROM chain_alarms") == [("fork_below_finality",)]
    assert indexer.state() == reindexed(clean)


def test_another_chain_behind_the_same_id_is_read_from_the_start(
    chain: Chain, indexer: Indexer, clean: Indexer
) -> None:
    grow(chain, 12)
    indexer.run()
    chain.ask("anvil_reset")
    chain.ask("evm_setAutomine", False)
    chain.ask("evm_increaseTime", 1000)
    chain.mine(2)
    assert chain.deploy() == chain.emitter
    grow(chain, 3)
    report = indexer.run()
    assert report.rewinds == 1
    assert_clean(indexer, clean, chain)


def test_a_node_that_lags_below_finality_is_refused_and_nothing_is_dropped(chain: Chain, indexer: Indexer) -> None:
    grow(chain, 30)
    indexer.run()
    before = indexer.state()
    chain.rollback(15)
    with pytest.raises(errors.NodeBehind):
        indexer.run()
    with pytest.raises(errors.NodeBehind):
        indexer.run()
    assert indexer.state() == before
    assert indexer.rows("SELECT kind, count FROM chain_alarms") == [("node_behind", 2)]


def test_a_chain_cut_below_finality_that_grows_anew_is_rewound(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    grow(chain, 30)
    indexer.run()
    chain.rollback(15)
    chain.send(chain.moved(9, 9))
    indexer.run()
    assert indexer.rows("SELECT kind FROM chain_alarms") == [("fork_below_finality",)]
    # What was final below the fork still is; what was above it is not.
    assert indexer.rows("SELECT final_block FROM chain_cursors") == [(chain.head() - 1,)]
    assert_clean(indexer, clean, chain)


def test_a_chain_set_to_halt_waits_for_its_operator(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    indexer.options = IndexOptions(finality=Finality(2), halt_on_deep_fork=True)
    grow(chain, 10)
    indexer.run()
    before = indexer.events()
    chain.reorg(5, *replaced(chain, 5))
    for _ in range(2):
        with pytest.raises(errors.SetHalted, match="below the final block"):
            indexer.run()
    assert indexer.events() == before
    with Session(indexer.engine) as session:
        resume(session, CHAIN_ID)
        session.commit()
    indexer.options = IndexOptions(finality=Finality(2))
    indexer.run()
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
