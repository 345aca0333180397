"""Tasks of the perps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from app.core.clock import rfc3339, utc_now
from app.jobs.services.run import JobRun
from app.jobs.types import Snoozed
from app.perps.errors import TransactionFailed
from app.perps.jobs import CHECK_HEALTH, EXECUTE_ORDERS, LIQUIDATE, SCAN_LIQUIDATIONS, SETTLE_FUNDING
from app.perps.services.funding import fan_out, forget_slot, plan_settlement
from app.perps.services.health import check_health
from app.perps.services.keeping import Round, Scan, scan_and_execute, scan_and_liquidate, scan_round
from app.perps.services.liquidations import plan_liquidation
from app.perps.services.protocols import get_protocol
from app.perps.services.results import show_checked, show_scan
from app.perps.services.slots import settle_due
from app.perps.services.transactions import outcome, send
from app.perps.types.protocol import PerpsProtocol
from tasks.base import job_task
from tasks.runtime import runtime

MINING_SECONDS = 1.0
FINALITY_SECONDS = 10.0


@job_task(SETTLE_FUNDING)
def settle_funding(run: JobRun) -> dict[str, Any] | Snoozed:
    """One market: plan, send, and wait until it is final. All of them: a job for each. Where we settle ourselves: what
    is due.
    """
    parts, params = runtime().perps, run.params
    if params["protocol"] is not None:
        protocol = get_protocol(parts.protocols, params["protocol"])
        if protocol.section.is_computed:
            return _settle_ourselves(run, protocol)
    if params["market"] is None:
        jobs = fan_out(run.session, params["protocol"], parts=parts, slot_at=run.slot_at, principal=run.claim.principal)
        return {"jobs": [str(job) for job in jobs]}
    planned = _planned(run)
    if planned is None:
        planned = plan_settlement(
            run.session,
            params["protocol"],
            params["market"],
            parts=parts,
            clock=utc_now,
            slot_at=run.slot_at,
            job_id=run.claim.id,
        )
        if planned is None:
            return {"settled_already": True}
        _send(run, planned)
    return _wait(run, planned, undo=lambda: forget_slot(run.session, params["protocol"], params["market"], run.slot_at))


def _settle_ourselves(run: JobRun, protocol: PerpsProtocol) -> dict[str, Any] | Snoozed:
    settled = settle_due(
        run.session,
        protocol,
        run.params["market"],
        rules=runtime().perps.rules,
        until=run.slot_at or utc_now(),
        commit=run.step,
    )
    if settled.waiting is not None:
        return Snoozed(FINALITY_SECONDS, f"no final block after {rfc3339(settled.waiting)} is indexed yet")
    return {"settled": settled.count, "last": None if settled.last is None else rfc3339(settled.last)}


@job_task(CHECK_HEALTH)
def check(run: JobRun) -> dict[str, Any]:
    """Judge, and let the contract decide what the price is too wide to tell."""
    account = run.params["account"]
    checked = check_health(
        run.session,
        protocol=run.params["protocol"],
        position=run.params["position"],
        account=None if account is None else bytes.fromhex(account[2:]),
        market=run.params["market"],
        parts=runtime().perps,
        clock=utc_now,
    )
    return show_checked(checked)


@job_task(SCAN_LIQUIDATIONS)
def scan(run: JobRun) -> dict[str, Any]:
    """Scan at the latest prices; what was planned is followed by the chain's watcher."""
    return _scanned(run, scan_and_liquidate)


@job_task(EXECUTE_ORDERS)
def execute_orders(run: JobRun) -> dict[str, Any]:
    """The same for the orders that wait."""
    return _scanned(run, scan_and_execute)


@job_task(LIQUIDATE)
def liquidate(run: JobRun) -> dict[str, Any] | Snoozed:
    """Plan it once, send it, and wait until its transaction is final."""
    planned = _planned(run)
    if planned is None:
        planned = plan_liquidation(
            run.session,
            run.params["protocol"],
            run.params["position"],
            parts=runtime().perps,
            clock=utc_now,
            job_id=run.claim.id,
        )
        _send(run, planned)
    return _wait(run, planned)


def _scanned(run: JobRun, look: Scan) -> dict[str, Any]:
    turn = Round(parts=runtime().perps, clock=utc_now, commit=run.step, job_id=run.claim.id)
    reports = scan_round(run.session, look, run.params["protocol"], run.params["market"], turn)
    return {name: show_scan(report) for name, report in reports.items()}


def _planned(run: JobRun) -> UUID | None:
    """The intent that an earlier attempt of this job planned."""
    found = (run.cursor or {}).get("intent_id")
    return None if found is None else UUID(found)


def _send(run: JobRun, planned: UUID) -> None:
    """Make the plan durable together with the job's knowledge of it, then send."""
    run.step({"intent_id": str(planned)})
    send(run.session, planned, parts=runtime().perps, commit=run.step)


def _wait(run: JobRun, planned: UUID, undo: Callable[[], None] = lambda: None) -> dict[str, Any] | Snoozed:
    """Not final yet: look again. Come to nothing: forget it, so that the next attempt plans anew."""
    try:
        ended = outcome(run.session, planned)
    except TransactionFailed:
        undo()
        run.step({"intent_id": None})
        raise
    return Snoozed(MINING_SECONDS, "the transaction is not final yet") if ended is None else dict(ended)
