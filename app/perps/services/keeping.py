"""The keeper: scan, try, plan an intent a position, remember what failed. Whether a position was liquidated is for the
chain's event to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.services.history import sets_without_history
from app.chain.services.transactions import list_live_subjects, plan_transaction
from app.core.errors import AppError
from app.core.logging import get_logger
from app.oracle.types.prices import Action
from app.perps.maths.keeping import backoff_seconds
from app.perps.maths.views import view_markets
from app.perps.queries import keeper as queries
from app.perps.queries.markets import list_markets
from app.perps.services.attempts import Prepared, prepare
from app.perps.services.parts import PerpsParts, Sending
from app.perps.services.protocols import get_protocol
from app.perps.services.scan import scan
from app.perps.types.keeper import LIQUIDATE, Attempt, Fate, ScanReport, subject
from app.perps.types.protocol import PerpsProtocol

log = get_logger(__name__)
HISTORY_MISSING = "history_missing"


def scan_and_liquidate(
    session: Session,
    protocol: PerpsProtocol,
    *,
    parts: PerpsParts,
    clock: Callable[[], datetime],
    commit: Callable[[], None],
    job_id: UUID | None = None,
) -> ScanReport:
    """Look for endangered positions at the latest recorded prices and liquidate those for which that is right.

    A market without a usable price is left out, and named; so are all while the protocol's history is read. Positions
    whose liquidation is under way or backs off are passed over; at most the cap's number is tried, the most urgent
    first. Commits, through `commit`, what it planned before anything is sent. A deployment that cannot send for the
    protocol only says what it sees. Raises PriceMissing for the gas coin, and the node's failures.
    """
    now = clock()
    markets = list_markets(session, protocol.name)
    if protocol.name in sets_without_history(session):
        return ScanReport(0, {market.market_id: HISTORY_MISSING for market in markets}, (), False)
    views = view_markets([protocol], markets, parts.quotes(session, now), action=Action.LIQUIDATE, now=now)
    candidates = scan(
        session,
        protocol.name,
        list(views.priced.values()),
        limit=parts.caps.max_liquidations,
        now=now,
        busy=_under_way(session, protocol),
    )
    attempts: Sequence[Attempt] = [
        Attempt(position=health.position, fate=Fate.SEEN, health=health) for health in candidates.found
    ]
    if attempts and parts.sending is not None and protocol.section.keeper is not None:
        sending, positions = parts.get_sending(session), [one.position for one in attempts]
        prepared = prepare(session, protocol, positions, parts=parts, sending=sending, clock=clock)
        attempts = record(session, protocol, prepared, parts=parts, sending=sending, now=clock(), job_id=job_id)
        send(session, attempts, sending=sending, commit=commit)
    unpriced = {market_id: reason for (_, market_id), reason in views.unpriced.items()}
    return ScanReport(len(views.priced), unpriced, tuple(attempts), candidates.cut)


def scan_round(
    session: Session,
    name: str | None,
    *,
    parts: PerpsParts,
    clock: Callable[[], datetime],
    commit: Callable[[], None],
    job_id: UUID | None,
) -> dict[str, ScanReport]:
    """The same for the named protocol, or for every one in turn: one that fails takes no other down, and the first
    error is raised at the end.
    """
    protocols = parts.protocols if name is None else (get_protocol(parts.protocols, name),)
    done: dict[str, ScanReport] = {}
    failed: list[AppError] = []
    for protocol in protocols:
        try:
            done[protocol.name] = scan_and_liquidate(
                session, protocol, parts=parts, clock=clock, commit=commit, job_id=job_id
            )
        except AppError as error:
            session.rollback()
            log.warning("scan_failed", protocol=protocol.name, code=error.code, detail=error.detail)
            failed.append(error)
    if failed:
        raise failed[0]
    return done


def record(
    session: Session,
    protocol: PerpsProtocol,
    prepared: Sequence[Prepared],
    *,
    parts: PerpsParts,
    sending: Sending,
    now: datetime,
    job_id: UUID | None,
) -> list[Attempt]:
    """Plan the intents and note the failures; returns the attempts in their order, with their intents."""
    attempts = [_planned(session, protocol, one, parts, sending, now, job_id) for one in prepared]
    queries.sweep(session, protocol.name)
    before = queries.failures_of(session, protocol.name, [one.position.key for one in attempts])
    queries.clear(session, protocol.name, [one.position.key for one in attempts if one.fate is Fate.PLANNED])
    queries.back_off(session, [row for one in attempts if (row := _backoff(one, before, now)) is not None])
    return attempts


def send(session: Session, attempts: Sequence[Attempt], *, sending: Sending, commit: Callable[[], None]) -> None:
    """Commit, and take the planned intents as far as they go now; the chain's watcher takes them further."""
    commit()
    intents = [one.intent_id for one in attempts if one.intent_id is not None]
    if intents:
        sending.advance(session, intents, commit)


def _under_way(session: Session, protocol: PerpsProtocol) -> list[str]:
    """The keys of positions whose liquidation is live."""
    prefix = subject(protocol.name, "")
    found = list_live_subjects(session, protocol.chain_id, LIQUIDATE)
    return [one.removeprefix(prefix) for one in found if one.startswith(prefix)]


def _backoff(one: Attempt, before: Mapping[str, tuple[str, int]], now: datetime) -> dict[str, Any] | None:
    """The row that keeps the scan away for a while; None for a fate that it need not be kept away for."""
    reason, count = before.get(one.position.key, ("", 0))
    failures = count + 1 if reason == one.fate else 1
    seconds = backoff_seconds(one.fate, failures)
    if seconds == 0:
        return None
    return {
        "protocol": one.position.protocol,
        "key": one.position.key,
        "failures": failures,
        "reason": one.fate,
        "detail": one.detail,
        "until": now + timedelta(seconds=seconds),
        "now": now,
    }


def _planned(
    session: Session,
    protocol: PerpsProtocol,
    one: Prepared,
    parts: PerpsParts,
    sending: Sending,
    now: datetime,
    job_id: UUID | None,
) -> Attempt:
    if one.attempt.fate is not Fate.PLANNED or one.call is None:
        return one.attempt
    key = one.attempt.position.key
    intent_id = plan_transaction(
        session,
        chain_id=protocol.chain_id,
        signer=sending.signer,
        action=LIQUIDATE,
        subject=subject(protocol.name, key),
        purpose=f"liquidate position {key} of {protocol.name}",
        to=one.call.to,
        data=one.call.data,
        value_wei=one.call.value_wei,
        gas_ceiling=parts.caps.gas_ceiling,
        expires_at=one.expires_at,
        job_id=job_id,
        now=now,
    )
    return replace(one.attempt, intent_id=intent_id)
