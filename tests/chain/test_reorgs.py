"""Reorgs on a real node: whatever the chain does, the tables end equal to a clean index of what it is."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.queries.cursors import halt, lock_chain, resume
from app.chain.types.indexing import Finality, IndexOptions, RangeLimits
from tests.chain.conftest import CHAIN_ID, Indexer, contract_set, reindexed
from tests.chain.emitter import Chain
from tests.fakes.node_proxy import NodeProxy

pytestmark = pytest.mark.chain


def grow(chain: Chain, blocks: int) -> None:
    """Blocks with events in most of them."""
    for block in range(blocks):
        chain.move(block % 4, block + 1, times=block % 3)


def replaced(chain: Chain, depth: int) -> list[tuple[dict[str, str], int]]:
    """Other transactions for the new blocks of a reorg."""
    return [(chain.moved(place % 4, -1000 - place, times=2), place) for place in range(0, depth, 2)]


def assert_clean(indexer: Indexer, clean: Indexer, chain: Chain) -> None:
    """The tables are those of a clean index, and a clean index is the chain."""
    assert indexer.state() == reindexed(clean)
    assert indexer.events() == chain.logs()


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


def test_a_crash_between_read_and_write_loses_and_doubles_nothing(
    chain: Chain, indexer: Indexer, clean: Indexer
) -> None:
    grow(chain, 9)
    indexer.options = IndexOptions(limits=RangeLimits(max_blocks=3))

    def dropped(session: Session) -> None:
        with indexer.engine.connect() as other:
            pid = session.connection().scalar(text("SELECT pg_backend_pid()"))
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        session.commit()

    indexer.run(last_block=2)
    for _ in range(2):
        with pytest.raises(OperationalError):
            indexer.run(commit=dropped)
        assert indexer.events() == [log for log in chain.logs() if log[0] <= 2]
    indexer.run()
    indexer.options = clean.options
    assert_clean(indexer, clean, chain)


def test_a_crash_while_rewinding_undoes_nothing_by_half(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    grow(chain, 15)
    indexer.run()
    before = indexer.state()
    chain.reorg(6, *replaced(chain, 6))

    def crash(session: Session) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        indexer.run(commit=crash)
    assert indexer.state() == before
    indexer.run()
    assert_clean(indexer, clean, chain)


@pytest.fixture
def proxied(chain: Chain, indexer: Indexer) -> Iterator[NodeProxy]:
    """A proxy between the indexer and the node."""
    proxy = NodeProxy(chain.url)
    node = Provider(proxy.url, chain_id=CHAIN_ID)
    indexer.providers = Providers([node])
    yield proxy
    node.close()
    proxy.close()


def once(proxy: NodeProxy, method: str, act: Any) -> None:
    """Do `act` before the node is asked the first request that has `method` in it."""

    def before(calls: list[dict[str, Any]]) -> None:
        if any(call["method"] == method for call in calls):
            proxy.before = lambda calls: None
            act()

    proxy.before = before


def test_a_reorg_between_headers_and_logs(chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy) -> None:
    grow(chain, 15)
    once(proxied, "eth_getLogs", lambda: chain.reorg(5, *replaced(chain, 5)))
    indexer.run()
    assert_clean(indexer, clean, chain)


def test_a_reorg_between_the_tip_and_the_range(
    chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy
) -> None:
    grow(chain, 15)
    indexer.run()
    grow(chain, 3)
    once(proxied, "eth_getLogs", lambda: chain.reorg(9, *replaced(chain, 9)))
    assert indexer.run().rewinds == 1
    assert_clean(indexer, clean, chain)


def test_logs_of_a_chain_that_was_there_only_while_they_were_read(
    chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy
) -> None:
    grow(chain, 12)
    other = "0x" + "cd" * 32

    def for_one_request_on_another_chain(calls: list[dict[str, Any]], answer: Any) -> Any:
        if not any(call["method"] == "eth_getLogs" for call in calls):
            return answer
        proxied.after = lambda calls, answer: answer
        return [
            item | {"result": [] if isinstance(item["result"], list) else {**item["result"], "hash": other}}
            for item in answer
        ]

    proxied.after = for_one_request_on_another_chain
    indexer.run()
    assert_clean(indexer, clean, chain)


def test_two_workers_that_heal_the_same_reorg(
    chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy, provider: Provider
) -> None:
    grow(chain, 15)
    indexer.run()
    chain.reorg(3, *replaced(chain, 3))
    proxied.seen.clear()

    def before(calls: list[dict[str, Any]]) -> None:
        if len(proxied.seen) == 2:  # the other is done before this one's search for the fork ends
            assert replace(indexer, providers=Providers([provider])).run().rewinds == 1

    proxied.before = before
    with pytest.raises(errors.CursorMoved):
        indexer.run()
    proxied.before = lambda calls: None
    assert indexer.rows("SELECT rewinds FROM chain_cursors") == [(1,)]
    assert_clean(indexer, clean, chain)


def test_a_cursor_that_stands_at_the_same_block_of_another_chain_is_not_moved(
    chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy, provider: Provider
) -> None:
    grow(chain, 12)
    indexer.run(last_block=10)

    def meanwhile(calls: list[dict[str, Any]], answer: Any) -> Any:
        if any(call["method"] == "eth_getLogs" for call in calls):
            proxied.after = lambda calls, answer: answer
            chain.reorg(4, *replaced(chain, 4))
            replace(indexer, providers=Providers([provider])).run(last_block=10)
        return answer

    proxied.after = meanwhile
    with pytest.raises(errors.CursorMoved):
        indexer.run()
    assert [row[0] for row in indexer.rows("SELECT next_block FROM chain_cursors")] == [11]
    indexer.run()
    assert_clean(indexer, clean, chain)


def test_a_set_halted_while_it_reads_is_not_moved(chain: Chain, indexer: Indexer, proxied: NodeProxy) -> None:
    grow(chain, 5)

    def operator() -> None:
        with Session(indexer.engine) as session:
            halt(session, CHAIN_ID, "an operator looks")
            session.commit()

    once(proxied, "eth_getLogs", operator)
    with pytest.raises(errors.CursorMoved):
        indexer.run()
    assert indexer.events() == []


def test_one_writer_a_chain_at_a_time(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    grow(chain, 5)
    with Session(indexer.engine) as other, ThreadPoolExecutor(1) as worker:
        lock_chain(other, CHAIN_ID)
        running = worker.submit(indexer.run)
        while not indexer.rows("SELECT FROM pg_stat_activity WHERE wait_event = 'advisory'"):
            assert not running.done(), "it did not wait"
        assert indexer.events() == []
        other.commit()
        assert running.result().blocks == chain.head() + 1
    assert_clean(indexer, clean, chain)


def test_the_chain_gets_shorter_while_it_is_read(
    chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy
) -> None:
    grow(chain, 15)
    indexer.run()
    grow(chain, 4)
    once(proxied, "eth_getLogs", lambda: chain.rollback(2))
    indexer.run()
    assert_clean(indexer, clean, chain)


def test_the_chain_gets_shorter_while_a_reorg_is_healed(
    chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy
) -> None:
    grow(chain, 15)
    indexer.run()
    chain.reorg(3, *replaced(chain, 3))
    proxied.seen.clear()

    def before(calls: list[dict[str, Any]]) -> None:
        if len(proxied.seen) == 2:  # after the look at the tip: the search for the fork
            chain.rollback(1)

    proxied.before = before
    indexer.run()
    proxied.before = lambda calls: None
    assert_clean(indexer, clean, chain)


@pytest.mark.parametrize("lie", [{"blockHash": "0x" + "ab" * 32}, {"removed": True}])
def test_a_node_whose_answers_never_fit_is_reported_and_nothing_is_written(
    chain: Chain, indexer: Indexer, proxied: NodeProxy, lie: dict[str, Any]
) -> None:
    grow(chain, 8)

    def lying(calls: list[dict[str, Any]], answer: Any) -> Any:
        for item in answer if isinstance(answer, list) else [answer]:
            for log in item["result"] if isinstance(item["result"], list) else []:
                log |= lie
        return answer

    proxied.after = lying
    with pytest.raises(errors.NodeInconsistent):
        indexer.run()
    assert indexer.events() == []
    assert indexer.rows("SELECT kind, count FROM chain_alarms") == [("node_inconsistent", 1)]
