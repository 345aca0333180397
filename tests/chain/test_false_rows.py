"""Rows that the chain never had: an audit takes out what it can prove false, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.chain import errors
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.types.indexing import CheckLimits, IndexOptions, RangeLimits
from tests.chain.conftest import Indexer, assert_clean, grow, indexed
from tests.chain.emitter import Chain
from tests.chain.test_lying_nodes import audited
from tests.fakes import lies
from tests.fakes.node_proxy import Calls, NodeProxy

pytestmark = pytest.mark.chain


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
