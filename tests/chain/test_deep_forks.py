"""Forks below finality or below every kept header: loud, recoverable, and never a loop."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.services.alarms import record_alarm
from app.chain.services.reading import list_alarms
from app.chain.services.resolving import resolve
from app.chain.services.resuming import resume_set
from app.chain.types.indexing import Alarm, Finality, IndexOptions
from tests.chain.conftest import CHAIN_ID, Indexer, assert_clean, contract_set, grow, reindexed, replaced
from tests.chain.emitter import Chain

pytestmark = pytest.mark.chain

OPEN_ALARMS = "SELECT kind FROM chain_alarms WHERE resolved_at IS NULL ORDER BY kind"


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
    alarms = indexer.rows("SELECT kind, count FROM chain_alarms ORDER BY kind")
    assert alarms == [("node_behind", 2), ("provider_avoided", 1)]
    chain.mine(1)
    assert indexer.rows(OPEN_ALARMS) == [("node_behind",), ("provider_avoided",)]


def test_an_alarm_about_a_node_is_over_when_the_set_is_read_again(chain: Chain, indexer: Indexer) -> None:
    grow(chain, 30)
    indexer.run()
    assert indexer.rows(OPEN_ALARMS) == []
    alarm = Alarm(chain_id=CHAIN_ID, contract_set="emitter", kind="node_behind", subject="node")
    others = Alarm(chain_id=CHAIN_ID, contract_set="other", kind="node_inconsistent", subject="other")
    for raised in (alarm, others):
        record_alarm(indexer.engine, raised)
    indexer.run()
    assert indexer.rows(OPEN_ALARMS) == [("node_inconsistent",)], "the other set has not been read"


def test_a_chain_cut_below_finality_that_grows_anew_is_rewound(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    grow(chain, 30)
    indexer.run()
    chain.rollback(15)
    chain.send(chain.moved(9, 9))
    indexer.run()
    alarms = indexer.rows("SELECT kind FROM chain_alarms ORDER BY kind")
    assert alarms == [("fork_below_finality",), ("provider_avoided",)]
    # What was final below the fork still is; what was above it is not.
    assert indexer.rows("SELECT final_block FROM chain_cursors") == [(chain.head() - 1,)]
    assert_clean(indexer, clean, chain)


def test_what_a_reorg_undid_is_final_for_no_set_not_even_for_one_that_had_not_read_it(
    chain: Chain, indexer: Indexer, clean: Indexer
) -> None:
    late = replace(indexer, contracts=contract_set(chain, name="late", start_block=100))
    grow(chain, 30)
    indexer.run()
    late.run()
    chain.rollback(15)
    chain.send(chain.moved(9, 9))
    indexer.run()
    assert indexer.rows("SELECT DISTINCT final_block FROM chain_cursors") == [(chain.head() - 1,)]
    grow(chain, 5)
    indexer.run()
    chain.rollback(2)
    assert indexer.run().rewinds == 1, "a shorter chain, no node that lags"
    with indexer.engine.begin() as connection:
        connection.execute(text("DELETE FROM chain_cursors WHERE name = 'late'"))
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
    assert indexer.rows(OPEN_ALARMS) == [("fork_below_finality",)]
    with Session(indexer.engine) as session:
        (alarm,) = list_alarms(session, only_open=True, cursor=None, limit=2).items
        with pytest.raises(errors.AlarmStands):
            resolve(session, alarm.id)
        before_it, after_it = resume_set(session, CHAIN_ID, "emitter")
        session.commit()
    assert ("below the final block" in (before_it.halted_reason or ""), after_it.halted_at) == (True, None)
    assert indexer.rows(OPEN_ALARMS) == []
    assert indexer.run().rewinds == 1, "the operator has said yes: the very fork is not halted for again"
    assert_clean(indexer, clean, chain)
    chain.reorg(5, *replaced(chain, 5))
    with pytest.raises(errors.SetHalted):
        indexer.run()


def test_what_is_not_halted_is_not_resumed(chain: Chain, indexer: Indexer) -> None:
    indexer.run()
    with Session(indexer.engine) as session:
        with pytest.raises(errors.SetNotHalted):
            resume_set(session, CHAIN_ID, "emitter")
        with pytest.raises(errors.UnknownContractSet, match="Nothing of nobody was ever indexed"):
            resume_set(session, CHAIN_ID, "nobody")
    assert indexer.rows("SELECT final_block IS NULL FROM chain_cursors") == [(False,)]
