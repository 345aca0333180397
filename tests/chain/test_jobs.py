"""The chain's jobs in a worker, from HTTP to the tables, and what readers see of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient

from app.chain.jobs import AUDIT_RANGES, BACKFILL, INDEX_HEAD
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from config.settings import Settings
from tasks.base import process_message
from tasks.chain import audit_ranges, backfill_range, index_head
from tasks.runtime import Runtime
from tasks.schedule import schedule
from tests.chain.conftest import Indexer
from tests.chain.emitter import Chain

pytestmark = pytest.mark.chain


def test_indexing_as_a_job(
    chain: Chain, indexer: Indexer, submit: Callable[..., Any], ask: Callable[..., Any], worker: Runtime
) -> None:
    for amount in range(9):
        chain.move(1, amount)
    made = submit("chain.index_head", contract_set="emitter")
    assert made.status_code == 202, made.json
    process_message(worker, INDEX_HEAD, index_head.work, [UUID(made.json["id"])])
    job = ask("GET", made.json["links"]["self"]).json
    assert (job["status"], job["result"]["rows"], job["result"]["next_block"]) == ("succeeded", 9, chain.head() + 1)
    assert indexer.events() == chain.logs()
    (progress,) = ask("GET", "/v1/chain/contract-sets").json["data"]
    assert (progress["name"], progress["next_block"], progress["lag_blocks"]) == ("emitter", chain.head() + 1, 0)
    assert progress["final_block"] == int(chain.ask("eth_getBlockByNumber", "finalized", False)["number"], 16)


def test_an_audit_as_a_job(
    chain: Chain, indexer: Indexer, submit: Callable[..., Any], ask: Callable[..., Any], worker: Runtime
) -> None:
    for amount in range(9):
        chain.move(1, amount)
    chain.mine(64)
    indexer.run()
    with worker.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM chain_events WHERE block_number = 4")
    for _ in range(2):
        made = submit("chain.audit_ranges", contract_set="emitter").json
        process_message(worker, AUDIT_RANGES, audit_ranges.work, [UUID(made["id"])])
        job = ask("GET", made["links"]["self"]).json
        assert job["status"] == "succeeded", job
    assert indexer.events() == chain.logs()
    second, first = ask("GET", "/v1/chain/audits").json["data"]
    assert (first["rows_missing"], first["rows_repaired"], first["method"]) == (1, 1, "receipts")
    assert (first["first_block"], first["last_block"], second["rows_missing"]) == (0, second["last_block"], 0)
    assert ask("GET", "/v1/chain/audits?found=differences").json["data"] == [first]
    page = ask("GET", "/v1/chain/audits?limit=1").json
    assert page["data"] == [second]
    assert ask("GET", f"/v1/chain/audits?limit=1&cursor={page['next_cursor']}").json["data"] == [first]


def test_only_one_reads_a_set_at_a_time(submit: Callable[..., Any]) -> None:
    assert submit("chain.index_head", contract_set="emitter").status_code == 202
    again = submit("chain.index_head", contract_set="emitter")
    assert (again.status_code, again.json["code"]) == (409, "jobs.already_live")


def test_a_backfill_reads_what_is_final_and_waits_for_the_rest(
    chain: Chain, indexer: Indexer, submit: Callable[..., Any], ask: Callable[..., Any], worker: Runtime
) -> None:
    for amount in range(14):
        chain.move(1, amount)
    final = int(chain.ask("eth_getBlockByNumber", "finalized", False)["number"], 16)
    made = submit("chain.backfill", contract_set="emitter", from_block=3, to_block=final + 4).json
    process_message(worker, BACKFILL, backfill_range.work, [UUID(made["id"])])
    assert ask("GET", made["links"]["self"]).json["status"] == "scheduled"
    assert indexer.events() == [log for log in chain.logs() if 3 <= log[0] <= final]
    chain.mine(4)
    with worker.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET run_at = now()")
    process_message(worker, BACKFILL, backfill_range.work, [UUID(made["id"])])
    job = ask("GET", made["links"]["self"]).json
    assert (job["status"], job["result"]["blocks"]) == ("succeeded", 4)
    assert indexer.events() == [log for log in chain.logs() if 3 <= log[0] <= final + 4]
    assert indexer.rows("SELECT * FROM chain_cursors") == []


def test_bad_parameters_are_refused(submit: Callable[..., Any]) -> None:
    for kind, params in [
        ("chain.backfill", {"from_block": 9, "to_block": 3}),
        ("chain.backfill", {"from_block": -1, "to_block": 3}),
        ("chain.backfill", {"from_block": "1", "to_block": 3}),
        ("chain.backfill", {"from_block": 1}),
        ("chain.plan_backfill", {"chunk_blocks": 0}),
        ("chain.plan_backfill", {"chunk_blocks": "5"}),
        ("chain.plan_backfill", {"from_block": 1}),
        ("chain.index_head", {"from_block": 1}),
        ("chain.index_head", {"contract_set": "a" * 41}),
    ]:
        answer = submit(kind, **{"contract_set": "emitter", **params})
        assert (answer.status_code, answer.json["code"]) == (422, "jobs.invalid_params"), params


def test_a_set_that_no_file_names_fails_its_job(
    submit: Callable[..., Any], ask: Callable[..., Any], worker: Runtime
) -> None:
    made = submit("chain.index_head", contract_set="other").json
    process_message(worker, INDEX_HEAD, index_head.work, [UUID(made["id"])])
    job = ask("GET", made["links"]["self"]).json
    assert (job["status"], job["error"]["code"]) == ("failed", "chain.unknown_contract_set")


def test_a_node_that_is_gone_is_tried_again(
    submit: Callable[..., Any], ask: Callable[..., Any], worker: Runtime, anvil: EmbeddedAnvil
) -> None:
    anvil.stop()
    made = submit("chain.index_head", contract_set="emitter").json
    process_message(worker, INDEX_HEAD, index_head.work, [UUID(made["id"])])
    job = ask("GET", made["links"]["self"]).json
    assert (job["status"], job["error"]["code"]) == ("retrying", "chain.node_unreachable")


def test_reading_needs_the_chain_s_scope(ask: Callable[..., Any], submit: Callable[..., Any]) -> None:
    for path in ("/v1/chain/contract-sets", "/v1/chain/alarms", "/v1/chain/audits"):
        assert ask("GET", path, "reader").status_code == 403
        assert ask("GET", path, "nobody").status_code == 401
        assert ask("GET", path + "?unknown=1").status_code == 422
    assert submit("chain.index_head", "reader", contract_set="emitter").status_code == 403


def test_alarms_are_listed_in_pages(chain: Chain, ask: Callable[..., Any], indexer: Indexer) -> None:
    topic = chain.topic("Moved")
    chain.send(chain.call_of("raw(bytes32,uint256,bytes)", topic, 1, b"short"))
    indexer.run()
    chain.mine(30)
    indexer.run()
    chain.reorg(15)
    indexer.run()
    first = ask("GET", "/v1/chain/alarms?limit=1").json
    assert [alarm["kind"] for alarm in first["data"]] == ["fork_below_finality"]
    second = ask("GET", f"/v1/chain/alarms?limit=1&cursor={first['next_cursor']}").json
    assert [(alarm["kind"], alarm["subject"], alarm["count"]) for alarm in second["data"]] == [
        ("malformed_event", "emitter.Moved", 1)
    ]
    assert second["has_more"] is False
    with indexer.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE chain_alarms SET resolved_at = now()")
    assert ask("GET", "/v1/chain/alarms").json["data"] == []
    assert len(ask("GET", "/v1/chain/alarms?state=all").json["data"]) == 2


def test_each_protocol_file_has_a_schedule(deployment: Settings) -> None:
    found = {entry.name: (entry.kind, entry.params) for entry in schedule(deployment) if entry.params}
    assert found == {
        "index_emitter": (INDEX_HEAD, {"contract_set": "emitter"}),
        "audit_emitter": (AUDIT_RANGES, {"contract_set": "emitter"}),
    }


def test_the_indexer_s_metrics(chain: Chain, indexer: Indexer, client: FlaskClient) -> None:
    indexer.run(last_block=0)
    shown = client.get("/metrics", headers={"Authorization": "Bearer scrape"}).text
    assert f'watchkeeper_indexer_lag_blocks{{chain_id="31339",contract_set="emitter"}} {chain.head()}.0' in shown
