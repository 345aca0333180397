"""From attempts to intents: planned once a subject, with a note of when; failures remembered; then sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.services.transactions import list_live_subjects, plan_transaction
from app.perps.maths.keeping import backoff_seconds
from app.perps.queries import keeper as queries
from app.perps.queries import keeper_actions
from app.perps.services.attempts import Prepared
from app.perps.services.duties import Duty
from app.perps.services.latency import follow
from app.perps.services.parts import Sending
from app.perps.types.keeper import Attempt, Fate, KeeperAction, subject
from app.perps.types.protocol import PerpsProtocol

UNREAD_AT_MOST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is planned is about: whose duty, from whose key, seen at `detected_at`, planned `now`, for which job."""

    protocol: PerpsProtocol
    duty: Duty
    signer: bytes
    gas_ceiling: int
    detected_at: datetime
    now: datetime
    job_id: UUID | None


def record(session: Session, plan: Plan, prepared: Sequence[Prepared]) -> list[Attempt]:
    """Plan the intents and note the failures; returns the attempts in their order, with their intents."""
    name, action = plan.protocol.name, plan.duty.action
    attempts = [_planned(session, plan, one) for one in prepared]
    queries.sweep(session, name)
    before = queries.failures_of(session, name, action, [one.target.key for one in attempts])
    queries.clear(session, name, action, [one.target.key for one in attempts if one.fate is Fate.PLANNED])
    queries.back_off(session, [row for one in attempts if (row := _backoff(plan, one, before)) is not None])
    return attempts


def send(
    session: Session, plan: Plan, attempts: Sequence[Attempt], *, sending: Sending, commit: Callable[[], None]
) -> None:
    """Commit, and take the planned intents as far as they go now; the chain's watcher takes them further."""
    commit()
    intents = [one.intent_id for one in attempts if one.intent_id is not None]
    if intents:
        sending.advance(session, intents, commit)
        follow(session, plan.protocol.name)


def under_way(session: Session, protocol: PerpsProtocol, duty: Duty, now: datetime) -> set[str]:
    """The keys for which the duty's transaction is live, or final while the indexer has yet to read its block: those
    would fill a scan with what is gone. An indexer that stands still holds them back for so long and no longer.
    """
    prefix = subject(protocol.name, "")
    live = list_live_subjects(session, protocol.chain_id, duty.action)
    unread = keeper_actions.unfinished_keys(session, protocol.name, duty.action, since=now - UNREAD_AT_MOST)
    return {one.removeprefix(prefix) for one in live if one.startswith(prefix)} | unread


def _backoff(plan: Plan, one: Attempt, before: Mapping[str, tuple[str, int]]) -> dict[str, Any] | None:
    """The row that keeps the scan away for a while; None for a fate that it need not be kept away for."""
    reason, count = before.get(one.target.key, ("", 0))
    failures = count + 1 if reason == one.fate else 1
    seconds = backoff_seconds(one.fate, failures)
    if seconds == 0:
        return None
    return {
        "protocol": plan.protocol.name,
        "action": plan.duty.action,
        "key": one.target.key,
        "failures": failures,
        "reason": one.fate,
        "detail": one.detail,
        "until": plan.now + timedelta(seconds=seconds),
        "now": plan.now,
    }


def _planned(session: Session, plan: Plan, one: Prepared) -> Attempt:
    if one.attempt.fate is not Fate.PLANNED or one.call is None or one.priced_at is None:
        return one.attempt
    protocol, target = plan.protocol, one.attempt.target
    intent_id = plan_transaction(
        session,
        chain_id=protocol.chain_id,
        signer=plan.signer,
        action=plan.duty.action,
        subject=subject(protocol.name, target.key),
        purpose=f"{plan.duty.purpose} {target.key} of {protocol.name}",
        to=one.call.to,
        data=one.call.data,
        value_wei=one.call.value_wei,
        gas_ceiling=plan.gas_ceiling,
        expires_at=one.expires_at,
        job_id=plan.job_id,
        now=plan.now,
    )
    keeper_actions.add(
        session,
        KeeperAction(
            intent_id=intent_id,
            protocol=protocol.name,
            action=plan.duty.action,
            key=target.key,
            market_id=target.market_id,
            price_published_at=one.priced_at,
            detected_at=plan.detected_at,
            planned_at=plan.now,
            broadcast_at=None,
            included_at=None,
            block_number=None,
            outcome=None,
        ),
    )
    return replace(one.attempt, intent_id=intent_id)
