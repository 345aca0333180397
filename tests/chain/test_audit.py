"""The audit: what it finds missing from old blocks, whoever it asks, and what it does with that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.services.prune import prune
from app.chain.types.indexing import CheckLimits, IndexOptions, RangeLimits
from tests.chain.conftest import CHAIN_ID, Indexer, assert_clean, before_statement, grow, indexed, replaced
from tests.chain.emitter import Chain
from tests.chain.ledger import Ledger
from tests.chain.test_lying_nodes import audited
from tests.fakes import lies
from tests.fakes.node_proxy import Calls, NodeProxy, error

pytestmark = pytest.mark.chain


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


def test_what_a_reorg_has_replaced_meanwhile_is_not_repaired(chain: Chain, indexer: Indexer, clean: Indexer) -> None:
    indexed(chain, indexer)
    lose(indexer, "block_number = 6")

    def far_below_finality() -> None:
        chain.reorg(chain.head() - 2, *replaced(chain, 40))
        indexer.run()

    meanwhile = before_statement(indexer.engine, "pg_advisory_xact_lock", far_below_finality)
    with meanwhile, pytest.raises(errors.CursorMoved):
        audited(indexer, 20)
    assert_clean(indexer, clean, chain)
    assert indexer.rows("SELECT * FROM chain_audits") == []


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
