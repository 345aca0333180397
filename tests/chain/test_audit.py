"""The audit: what it finds missing from old blocks, whoever it asks, and what it does with that."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.services.prune import prune
from app.chain.types.indexing import CheckLimits, IndexOptions, RangeLimits
from tests.chain.conftest import CHAIN_ID, Indexer, assert_clean, grow
from tests.chain.emitter import Chain
from tests.chain.ledger import Ledger
from tests.chain.test_lying_nodes import audited
from tests.fakes import lies
from tests.fakes.node_proxy import Calls, NodeProxy, error

pytestmark = pytest.mark.chain


@pytest.fixture
def second(chain: Chain, indexer: Indexer, provider: Provider) -> Iterator[NodeProxy]:
    """A second provider, configured after the node itself."""
    proxy = NodeProxy(chain.url)
    node = Provider(proxy.url, chain_id=CHAIN_ID, attempts=1)
    indexer.providers = Providers([provider, node])
    yield proxy
    node.close()
    proxy.close()


def indexed(chain: Chain, indexer: Indexer) -> None:
    """A chain with events in its final blocks."""
    grow(chain, 30)
    chain.mine(70)
    indexer.run()


def lose(indexer: Indexer, condition: str) -> int:
    """Rows, and what was folded from them, are not there, as if they had never been answered."""
    with indexer.engine.begin() as connection:
        lost, _ = (
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE {condition}").rowcount  # noqa: S608 - a test's words
            for table in ("chain_events", "test_moves")
        )
        connection.exec_driver_sql("DELETE FROM test_sums")
        connection.exec_driver_sql(
            "INSERT INTO test_sums SELECT chain_id, account, sum(amount), count(*) FROM test_moves GROUP BY 1, 2"
        )
    assert lost > 0
    return lost


def test_a_second_provider_is_asked_and_what_is_missing_is_written_and_folded(
    chain: Chain, indexer: Indexer, clean: Indexer, second: NodeProxy
) -> None:
    indexed(chain, indexer)
    lost = lose(indexer, "block_number IN (4, 7, 10) AND log_index > 0")
    found = audited(indexer, 20)
    assert (found.method, found.rows_missing, found.rows_repaired) == ("second_provider", lost, lost)
    assert second.seen != []
    assert_clean(indexer, clean, chain)
    ((detail,),) = indexer.rows("SELECT detail FROM chain_alarms WHERE kind = 'audit_differs'")
    assert (detail["rows_missing"], detail["first_block"], detail["last_block"]) == (lost, 0, 19)


def test_what_fits_costs_headers_and_one_range(chain: Chain, indexer: Indexer, second: NodeProxy) -> None:
    indexed(chain, indexer)
    found = audited(indexer, 20)
    assert (found.rows_missing, found.rows_extra) == (0, 0)
    assert found.calls <= 20 + 5
    assert indexer.rows("SELECT * FROM chain_alarms") == []


def test_ranges_follow_each_other_and_begin_again_at_the_end(chain: Chain, indexer: Indexer) -> None:
    indexed(chain, indexer)
    ((final,),) = indexer.rows("SELECT final_block FROM chain_cursors")
    spans = [(one.first_block, one.last_block) for one in (audited(indexer, 20) for _ in range(final // 20 + 2))]
    assert spans[0] == spans[-1] == (0, 19)
    assert spans[-2][1] == final
    assert [first for first, _ in spans[1:-1]] == [last + 1 for _, last in spans[:-2]]


def test_a_second_provider_that_leaves_logs_out_makes_nothing_extra(
    chain: Chain, indexer: Indexer, clean: Indexer, second: NodeProxy
) -> None:
    indexed(chain, indexer)
    lost = lose(indexer, "block_number = 6")
    second.after = lies.answering(lies.without_first_of([7, 10]), lies.without_blocks([6, 15]))
    second.before = lies.refusing(7, [(-32000, "block range exceeds 7")], gives_up_at=10**6)
    found = audited(indexer, 30)
    assert (found.rows_missing, found.rows_extra) == (lost, 0)
    assert_clean(indexer, clean, chain)


def falsify(indexer: Indexer, change: str, condition: str = "block_number = 9") -> None:
    """Rows say what the chain does not, and so does what was folded from them."""
    with indexer.engine.begin() as connection:
        for table in ("chain_events", "test_moves"):
            changed = change if table == "chain_events" or "data" not in change else "amount = 7"
            connection.exec_driver_sql(f"UPDATE {table} SET {changed} WHERE {condition}")  # noqa: S608 - a test's words
        connection.exec_driver_sql("DELETE FROM test_sums")
        connection.exec_driver_sql(
            "INSERT INTO test_sums SELECT chain_id, account, sum(amount), count(*) FROM test_moves GROUP BY 1, 2"
        )


@pytest.mark.parametrize("change", ["log_index = 77", "data = data || '\\x01'::bytea"])
@pytest.mark.parametrize("alone", [True, False])
def test_rows_that_the_chain_has_not_are_proven_false_and_taken_out(
    change: str, alone: bool, chain: Chain, indexer: Indexer, clean: Indexer, second: NodeProxy, provider: Provider
) -> None:
    if alone:
        indexer.providers = Providers([provider])
    indexed(chain, indexer)
    falsify(indexer, change)
    found = audited(indexer, 30)
    assert found.method == ("receipts" if alone else "second_provider")
    assert (found.rows_missing, found.rows_extra, found.rows_repaired) == (1, 1, 2)
    assert_clean(indexer, clean, chain)
    ((detail,),) = indexer.rows("SELECT detail FROM chain_alarms WHERE kind = 'audit_differs'")
    ((index,),) = indexer.rows("SELECT log_index FROM chain_events WHERE block_number = 9")
    assert (detail["removed"], detail["removed_in_all"]) == ([[9, 77 if "77" in change else index]], 1)
    assert audited(indexer, 30).rows_extra == 0


def test_logs_that_a_node_made_up_are_taken_out_when_another_proves_what_there_was(
    chain: Chain, indexer: Indexer, clean: Indexer, second: NodeProxy, provider: Provider
) -> None:
    """Beside true ones in final blocks no filter tells, and no sample meets them."""
    grow(chain, 30)
    chain.mine(70)

    def doubled(query: lies.Query, logs: lies.Logs) -> lies.Logs:
        if not lies.is_range(query):
            return logs
        more = [
            log | {"logIndex": "0x63"}
            for log in logs
            if log["blockNumber"] in ("0x7", "0x10") and log["logIndex"] == "0x0"
        ]
        return sorted([*logs, *more], key=lambda log: (int(log["blockNumber"], 16), int(log["logIndex"], 16)))

    lying = Providers(list(indexer.providers)[1:])
    both, indexer.providers = indexer.providers, lying
    second.after = lies.answering(doubled)
    unchecked = CheckLimits(final_calls_per_1000_blocks=0)
    indexer.options = IndexOptions(checks=unchecked, limits=RangeLimits(max_blocks=40))
    indexer.run()
    assert len(indexer.events()) == len(chain.logs()) + 2
    indexer.providers, indexer.options = Providers(list(both)[::-1]), IndexOptions()
    found = audited(indexer, 40)
    assert (found.rows_missing, found.rows_extra, found.rows_repaired) == (0, 2, 2)
    assert_clean(indexer, clean, chain)


@pytest.mark.parametrize("checks", [CheckLimits(receipts=False), CheckLimits(header_hashes=False)])
def test_on_a_node_s_mere_word_no_row_is_taken_out(checks: CheckLimits, chain: Chain, indexer: Indexer) -> None:
    indexed(chain, indexer)
    falsify(indexer, "log_index = 77")
    indexer.options = IndexOptions(checks=checks)
    found = audited(indexer, 30)
    assert (found.rows_missing, found.rows_extra, found.rows_repaired) == (1, 1, 1)
    assert len(indexer.events()) == len(chain.logs()) + 1
    ((detail,),) = indexer.rows("SELECT detail FROM chain_alarms WHERE kind = 'audit_differs'")
    assert detail["removed_in_all"] == 0


def test_a_provider_that_denies_true_rows_has_none_taken_out(chain: Chain, indexer: Indexer, second: NodeProxy) -> None:
    """Its ranges, receipts and headers agree with each other; only the hash does not."""
    indexed(chain, indexer)
    before = indexer.state()

    def denying(calls: Calls, answer: Any) -> Any:
        for call, item in zip(calls, answer if isinstance(answer, list) else [answer], strict=True):
            if call["method"] in ("eth_getLogs", "eth_getBlockReceipts"):
                item["result"] = []
            if isinstance(item["result"], dict) and "receiptsRoot" in item["result"]:
                item["result"] |= {
                    "receiptsRoot": "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421",
                    "logsBloom": "0x" + "00" * 256,
                }
        return answer

    second.after = denying
    with pytest.raises(errors.NodeInconsistent, match="not that of its hash"):
        audited(indexer, 30)
    assert indexer.state() == before
    assert indexer.rows("SELECT * FROM chain_audits") == []


def test_other_sets_rows_at_the_same_contract_are_not_extra(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    indexed(chain, indexer)
    moves = {place: event for place, event in indexer.contracts.watched.items() if event.name == "Moved"}
    chain.send(chain.call_of("note(uint256,string)", 1, "here"))
    chain.mine(70)
    indexer.run()
    found = audited(replace(indexer, contracts=replace(indexer.contracts, watched=moves)), 200)
    assert found.rows_extra == 0
    assert_clean(indexer, clean, chain)


def test_a_node_without_receipts_is_asked_by_hash(
    chain: Chain, indexer: Indexer, clean: Indexer, second: NodeProxy
) -> None:
    indexed(chain, indexer)
    lose(indexer, "block_number = 6")

    def no_receipts(calls: Calls, answer: Any) -> Any:
        if calls[0]["method"] != "eth_getBlockReceipts":
            return answer
        return [error(call, -32601, "the method does not exist") for call in calls]

    second.after = no_receipts
    audited(indexer, 30)
    assert_clean(indexer, clean, chain)
    indexer.options = IndexOptions(checks=CheckLimits(receipts=False, blooms=False), limits=RangeLimits(max_blocks=10))
    lose(indexer, "block_number = 9")
    audited(indexer, 200)
    audited(indexer, 200)
    assert_clean(indexer, clean, chain)


def test_a_provider_of_another_chain_changes_nothing(chain: Chain, indexer: Indexer, second: NodeProxy) -> None:
    indexed(chain, indexer)

    def other(calls: Calls, answer: Any) -> Any:
        for item in answer if isinstance(answer, list) else [answer]:
            if isinstance(item["result"], dict) and "hash" in item["result"]:
                item["result"]["hash"] = "0x" + "ef" * 32
        return answer

    second.after = other
    before = indexer.state()
    with pytest.raises(errors.NodeInconsistent):
        audited(indexer, 30)
    assert indexer.state() == before
    assert indexer.rows("SELECT kind FROM chain_alarms") == [("audit_other_chain",)]
    assert indexer.rows("SELECT * FROM chain_audits") == []


def test_a_provider_that_ends_before_the_range_is_refused(chain: Chain, indexer: Indexer, second: NodeProxy) -> None:
    indexed(chain, indexer)
    lose(indexer, "block_number = 6")

    def short(calls: Calls, answer: Any) -> Any:
        if calls[0]["method"] == "eth_blockNumber":
            answer["result"] = "0x5"
        return answer

    second.after = short
    with pytest.raises(errors.NodeBehind):
        audited(indexer, 30)
    assert indexer.rows("SELECT * FROM chain_audits") == []


def test_nothing_is_audited_before_something_is_final(chain: Chain, indexer: Indexer) -> None:
    indexer.contracts = replace(indexer.contracts, start_block=5)
    grow(chain, 10)
    indexer.run()
    with pytest.raises(AssertionError):
        audited(indexer)
    assert indexer.rows("SELECT * FROM chain_audits") == []


def test_a_missing_event_that_a_projection_cannot_take_is_written_and_marked(
    chain: Chain, indexer: Indexer, clean: Indexer
) -> None:
    for one in (indexer, clean):
        one.projections = {"emitter": [Ledger(CHAIN_ID, refused=[2])]}
    indexed(chain, indexer)
    with indexer.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM chain_events WHERE decode_error IS NOT NULL")
    found = audited(indexer, 40)
    assert found.rows_missing == found.rows_repaired > 0
    assert_clean(indexer, clean, chain)


def test_old_audits_are_forgotten_but_for_the_one_to_go_on_from(chain: Chain, indexer: Indexer) -> None:
    indexed(chain, indexer)
    spans = [(one.first_block, one.last_block) for one in (audited(indexer, 10) for _ in range(4))]

    def prune_as_of(days: int) -> dict[str, int]:
        with Session(indexer.engine) as session:
            session.execute(
                text("UPDATE chain_audits SET audited_at = now() - make_interval(days => :days)"), {"days": days}
            )
            return prune(session, days=90, commit=session.commit)

    assert prune_as_of(89) == {"audits": 0}
    assert prune_as_of(91) == {"audits": 3}
    assert indexer.rows("SELECT first_block, last_block FROM chain_audits") == [spans[-1]]
    assert audited(indexer, 10).first_block == spans[-1][1] + 1
