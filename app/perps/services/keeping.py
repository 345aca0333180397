"""The keeper: scan, try, plan an intent a position or an order, remember what failed. What became of either is for the
chain's event to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.services.history import sets_without_history
from app.core.errors import AppError
from app.core.logging import get_logger
from app.oracle.types.prices import Action
from app.perps.maths.views import view_markets
from app.perps.queries.markets import list_markets
from app.perps.services.attempts import prepare
from app.perps.services.duties import EXECUTION, LIQUIDATION, Duty
from app.perps.services.latency import follow
from app.perps.services.order_scan import scan_orders
from app.perps.services.parts import PerpsParts
from app.perps.services.planning import Plan, record, send, under_way
from app.perps.services.protocols import get_protocol
from app.perps.services.scan import scan
from app.perps.types.health import Views
from app.perps.types.keeper import Attempt, Fate, ScanReport
from app.perps.types.protocol import PerpsProtocol

log = get_logger(__name__)
HISTORY_MISSING = "history_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What a round of a keeper needs: its means, the clock, how it commits, and the job it is for."""

    parts: PerpsParts
    clock: Callable[[], datetime]
    commit: Callable[[], None]
    job_id: UUID | None = None


Scan = Callable[[Session, PerpsProtocol, str | None, Round], ScanReport]


def scan_and_liquidate(session: Session, protocol: PerpsProtocol, market_id: str | None, turn: Round) -> ScanReport:
    """Look for endangered positions at the latest recorded prices and liquidate those for which that is right.

    A market without a usable price is left out, and named; so are all while the protocol's history is read. Positions
    whose liquidation is under way or backs off are passed over; at most the cap's number is tried, the most urgent
    first. Commits, through `commit`, what it planned before anything is sent. A deployment that cannot send for the
    protocol only says what it sees. Raises PriceMissing for the gas coin, and the node's failures.
    """
    now = turn.clock()
    views = _views(session, protocol, market_id, Action.LIQUIDATE, turn.parts, now)
    candidates = scan(
        session,
        protocol.name,
        list(views.priced.values()),
        limit=turn.parts.caps.max_liquidations,
        now=now,
        busy=under_way(session, protocol, LIQUIDATION, now),
    )
    seen = [Attempt(target=health.position, fate=Fate.SEEN, health=health) for health in candidates.found]
    can_send = protocol.section.keeper is not None
    attempts = _tried(session, protocol, LIQUIDATION, seen, turn, now) if can_send else seen
    return _report(views, attempts, candidates.cut)


def scan_and_execute(session: Session, protocol: PerpsProtocol, market_id: str | None, turn: Round) -> ScanReport:
    """Look for orders whose price has come, by the latest recorded prices, and execute those for which that is right.

    As for liquidations. Where a price is good enough to close by and not to open by, limit orders wait; an order of a
    position that has ended, and one that has expired, is passed over.
    """
    now = turn.clock()
    closing = _views(session, protocol, market_id, Action.LIQUIDATE, turn.parts, now)
    opening = _views(session, protocol, market_id, Action.OPEN, turn.parts, now)
    found = scan_orders(
        session,
        protocol.name,
        list(closing.priced.values()),
        opening={market for _, market in opening.priced},
        limit=turn.parts.caps.max_orders,
        now=now,
        busy=under_way(session, protocol, EXECUTION, now),
    )
    seen = [Attempt(target=order, fate=Fate.SEEN) for order in found.found]
    can_send = protocol.section.keeper is not None and protocol.section.keeper.execute_order is not None
    attempts = _tried(session, protocol, EXECUTION, seen, turn, now) if can_send else seen
    return _report(closing, attempts, found.cut)


def scan_round(
    session: Session, look: Scan, name: str | None, market_id: str | None, turn: Round
) -> dict[str, ScanReport]:
    """`look` at the named protocol, or at every one in turn: one that fails takes no other down, and the first error is
    raised at the end.
    """
    parts = turn.parts
    protocols = parts.protocols if name is None else (get_protocol(parts.protocols, name),)
    done: dict[str, ScanReport] = {}
    failed: list[AppError] = []
    for protocol in protocols:
        try:
            if follow(session, protocol.name):
                turn.commit()
            whole = protocol.name not in sets_without_history(session)
            done[protocol.name] = look(session, protocol, market_id, turn) if whole else _blind(session, protocol)
        except AppError as error:
            session.rollback()
            log.warning("scan_failed", protocol=protocol.name, code=error.code, detail=error.detail)
            failed.append(error)
    if failed:
        raise failed[0]
    return done


def _blind(session: Session, protocol: PerpsProtocol) -> ScanReport:
    """Of half a history nobody can be judged by."""
    markets = list_markets(session, protocol.name)
    return ScanReport(0, {market.market_id: HISTORY_MISSING for market in markets}, (), False)


def _views(
    session: Session, protocol: PerpsProtocol, market_id: str | None, action: Action, parts: PerpsParts, now: datetime
) -> Views:
    markets = [one for one in list_markets(session, protocol.name) if market_id in (None, one.market_id)]
    return view_markets([protocol], markets, parts.quotes(session, now), action=action, now=now)


def _tried(
    session: Session,
    protocol: PerpsProtocol,
    duty: Duty,
    seen: Sequence[Attempt],
    turn: Round,
    detected_at: datetime,
) -> Sequence[Attempt]:
    """The attempts, made; as they were seen where this deployment has no key."""
    parts = turn.parts
    if not seen or parts.sending is None:
        return seen
    sending, targets = parts.get_sending(session), [one.target for one in seen]
    prepared = prepare(session, protocol, targets, duty=duty, parts=parts, sending=sending, clock=turn.clock)
    plan = Plan(protocol, duty, sending.signer, parts.caps.gas_ceiling, detected_at, turn.clock(), turn.job_id)
    attempts = record(session, plan, prepared)
    send(session, plan, attempts, sending=sending, commit=turn.commit)
    return attempts


def _report(views: Views, attempts: Sequence[Attempt], cut: bool) -> ScanReport:
    unpriced = {market_id: str(reason) for (_, market_id), reason in views.unpriced.items()}
    return ScanReport(len(views.priced), unpriced, tuple(attempts), cut)
