"""What happens while the indexer reads or writes: the chain changes, a worker dies, another one is faster."""

from __future__ import annotations

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
from app.chain.queries.cursors import halt, lock_chain
from app.chain.types.indexing import IndexOptions, RangeLimits
from tests.chain.conftest import CHAIN_ID, Indexer, assert_clean, contract_set, grow, once, replaced
from tests.chain.emitter import Chain
from tests.fakes.node_proxy import NodeProxy

pytestmark = pytest.mark.chain


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


def test_another_set_s_fork_is_healed_also_when_a_size_was_learned(
    chain: Chain, indexer: Indexer, proxied: NodeProxy, provider: Provider
) -> None:
    grow(chain, 12)
    indexer.options = IndexOptions(limits=RangeLimits(target_events=5))
    other = replace(indexer, contracts=contract_set(chain, name="other"), providers=Providers([provider]))

    def meanwhile(calls: list[dict[str, Any]], answer: Any) -> Any:
        if any(call["method"] == "eth_getBlockReceipts" for call in calls):
            proxied.after = lambda calls, answer: answer
            chain.reorg(4, *replaced(chain, 4))
            other.run()
        return answer

    proxied.after = meanwhile
    assert indexer.run().rewinds == 1
    assert indexer.events() == chain.logs()


def test_a_cursor_that_stands_at_the_same_block_of_another_chain_is_not_moved(
    chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy, provider: Provider
) -> None:
    grow(chain, 12)
    indexer.run(last_block=10)

    def meanwhile(calls: list[dict[str, Any]], answer: Any) -> Any:
        if any(call["method"] == "eth_getBlockReceipts" for call in calls):
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
    alarms = indexer.rows("SELECT kind, count FROM chain_alarms ORDER BY kind")
    assert alarms == [("node_inconsistent", 1), ("provider_avoided", 1)]
