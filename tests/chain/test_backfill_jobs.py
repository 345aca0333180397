"""Back-fills as jobs: from HTTP to the tables, and what a client is told meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from app.chain.jobs import BACKFILL, INDEX_HEAD, PLAN_BACKFILL
from tasks.base import process_message
from tasks.chain import backfill_range, index_head, plan_backfill
from tasks.runtime import Runtime
from tests.chain.conftest import Indexer
from tests.chain.emitter import Chain

pytestmark = pytest.mark.chain

# A worker goes on with jobs that no message names: only these two may start.
ONLY_NOW = text("UPDATE jobs SET run_at = now() + make_interval(hours => (id NOT IN (:id, :plan))::int)")


def test_a_back_fill_in_parallel_tells_how_far_it_is(
    chain: Chain, indexer: Indexer, submit: Callable[..., Any], ask: Callable[..., Any], worker: Runtime
) -> None:
    for amount in range(24):
        chain.move(1, amount)
    made = submit("chain.plan_backfill", contract_set="emitter", chunk_blocks=5).json
    final = int(chain.ask("eth_getBlockByNumber", "finalized", False)["number"], 16)

    def look() -> Any:
        with worker.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE jobs SET run_at = now() WHERE status = 'queued'")
        process_message(worker, PLAN_BACKFILL, plan_backfill.work, [UUID(made["id"])])
        return ask("GET", made["links"]["self"]).json

    job = look()
    assert (job["status"], job["progress"]["pct"], job["progress"]["eta_at"]) == ("scheduled", 0.0, None)
    jobs = ask("GET", "/v1/jobs?kind=chain.backfill").json["data"]
    assert len(jobs) == -(-(final + 1) // 5)
    assert {one["priority"] for one in jobs} == {9}
    assert ask("GET", "/v1/chain/contract-sets").json["data"][0]["history_complete"] is False
    process_message(worker, BACKFILL, backfill_range.work, [UUID(jobs[0]["id"])])  # and the others, as long as it may
    while job["status"] == "scheduled":
        last, job = job, look()
        for one in ask("GET", "/v1/jobs?kind=chain.backfill&status=queued").json["data"]:
            process_message(worker, BACKFILL, backfill_range.work, [UUID(one["id"])])
    assert (job["status"], job["result"]["last_block"], job["progress"]["pct"]) == ("succeeded", final, 100.0)
    assert last["progress"]["message"].endswith(f"of {len(jobs)} chunks are read")
    index = submit("chain.index_head", contract_set="emitter").json
    process_message(worker, INDEX_HEAD, index_head.work, [UUID(index["id"])])
    assert indexer.events() == chain.logs()
    (found,) = ask("GET", "/v1/chain/contract-sets").json["data"]
    assert (found["name"], found["start_block"], found["history_complete"]) == ("emitter", 0, True)


def test_when_a_back_fill_is_done_is_told_from_its_pace(
    chain: Chain, submit: Callable[..., Any], ask: Callable[..., Any], worker: Runtime
) -> None:
    """The pace is in the job's cursor, so that it outlives the waits between two looks."""
    for amount in range(24):
        chain.move(1, amount)
    made = submit("chain.plan_backfill", contract_set="emitter", chunk_blocks=5).json
    process_message(worker, PLAN_BACKFILL, plan_backfill.work, [UUID(made["id"])])
    chunk = ask("GET", "/v1/jobs?kind=chain.backfill").json["data"][0]
    with worker.engine.begin() as connection:
        connection.execute(ONLY_NOW, {"id": chunk["id"], "plan": made["id"]})
    process_message(worker, BACKFILL, backfill_range.work, [UUID(chunk["id"])])
    process_message(worker, PLAN_BACKFILL, plan_backfill.work, [UUID(made["id"])])
    job = ask("GET", made["links"]["self"]).json
    assert job["progress"]["pct"] > 0
    assert datetime.fromisoformat(job["progress"]["eta_at"]) > datetime.fromisoformat(job["started_at"])
