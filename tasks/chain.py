"""Tasks of the chain."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from app.chain.jobs import AUDIT_RANGES, BACKFILL, INDEX_HEAD, PLAN_BACKFILL, WATCH_TRANSACTIONS
from app.chain.services.alarms import record_alarm
from app.chain.services.audit import audit
from app.chain.services.backfill import backfill
from app.chain.services.backfill_run import take_further
from app.chain.services.indexer import index
from app.chain.services.providers import pinned
from app.chain.services.watcher import watch
from app.chain.services.work import Work
from app.chain.types.indexing import IndexReport
from app.core.clock import utc_now
from app.jobs.services.run import JobRun
from app.jobs.types import Snoozed
from tasks.base import job_task
from tasks.runtime import runtime

BACKFILL_WAITS_SECONDS = 5.0
PLAN_WAITS_SECONDS = 2.0
FOLD_SECONDS = 10.0


@job_task(INDEX_HEAD)
def index_head(run: JobRun) -> dict[str, Any] | Snoozed:
    """Read to the head. With blocks left at its bounds the job goes back to the queue and on at once."""
    report = index(_work(run), runtime().chain.providers)
    if report.behind:
        run.report(report.next_block / (report.head_block + 1), "reading", f"block {report.next_block}")
        return Snoozed(0.0, f"read to block {report.next_block - 1} of {report.head_block}")
    return asdict(report)


@job_task(BACKFILL)
def backfill_range(run: JobRun) -> dict[str, Any] | Snoozed:
    """Read a range again; waits while its end is not final."""
    first, last = run.params["from_block"], run.params["to_block"]

    def progress(report: IndexReport) -> None:
        run.report((report.next_block - first) / (last - first + 1), "reading", f"block {report.next_block}")
        run.check()

    report = backfill(_work(run), runtime().chain.providers, first=first, last=last, progress=progress)
    if report.next_block <= last:
        return Snoozed(BACKFILL_WAITS_SECONDS, f"block {last} is not final yet")
    return asdict(report)


@job_task(PLAN_BACKFILL)
def plan_backfill(run: JobRun) -> dict[str, Any] | Snoozed:
    """Plan, see the chunks' jobs through, fold; between looks it waits in the queue, and holds up no worker."""
    look = take_further(
        _work(run),
        runtime().chain.providers,
        chunk_blocks=run.params["chunk_blocks"],
        jobs=(run.cursor or {}).get("jobs", {}),
        principal=run.claim.principal,
        fold_seconds=FOLD_SECONDS,
    )
    if look.result is not None:
        return dict(look.result)
    run.report(look.fraction, look.stage, look.message)
    run.step({"jobs": look.jobs, "samples": run.samples})
    return Snoozed(0.0 if look.stage == "folding" else PLAN_WAITS_SECONDS, look.message)


@job_task(AUDIT_RANGES)
def audit_ranges(run: JobRun) -> dict[str, Any]:
    """Hold the next range of rows against the chain; none while nothing is final."""
    found = audit(_work(run), runtime().chain.providers, blocks=runtime().settings.chain.audit_blocks)
    return {} if found is None else asdict(found)


@job_task(WATCH_TRANSACTIONS)
def watch_transactions(run: JobRun) -> dict[str, Any]:
    """Take every live transaction a step further; without a key there is none."""
    context = runtime()
    if context.signer is None:
        return {"live": 0}
    rpc = pinned(run.session, context.chain.providers)
    report = watch(
        run.session, rpc=rpc, signer=context.signer, policy=context.sender_policy, now=utc_now(), commit=run.step
    )
    return asdict(report)


def _work(run: JobRun) -> Work:
    alarm = partial(record_alarm, runtime().engine)
    return runtime().chain.work(run.params["contract_set"], run.session, commit=run.step, alarm=alarm)
