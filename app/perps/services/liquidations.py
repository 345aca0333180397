"""Liquidating one position because somebody asked for it: what the scan does by itself, with an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.core.errors import AppError
from app.perps.errors import LiquidationRefused, NotProfitable, PositionEnded, PositionHealthy
from app.perps.services.attempts import prepare
from app.perps.services.duties import LIQUIDATION
from app.perps.services.health import get_position, require_whole
from app.perps.services.parts import PerpsParts
from app.perps.services.planning import Plan, record
from app.perps.services.protocols import get_protocol
from app.perps.types.keeper import Attempt, Fate
from app.perps.types.positions import PositionStatus

REFUSALS: Mapping[Fate, type[AppError]] = {
    Fate.SAFE: PositionHealthy,
    Fate.HEALTHY: PositionHealthy,
    Fate.GONE: PositionEnded,
    Fate.UNPROFITABLE: NotProfitable,
    Fate.REFUSED: LiquidationRefused,
}


def plan_liquidation(
    session: Session,
    protocol_name: str,
    key: str,
    *,
    parts: PerpsParts,
    clock: Callable[[], datetime],
    job_id: UUID | None,
) -> UUID:
    """Plan the liquidation of one position, if it is right at fresh prices; returns the intent, which is not sent yet.

    Raises ProtocolNotFound, PositionNotFound, PositionEnded, PositionHealthy, NotProfitable, LiquidationRefused,
    KeeperUnavailable, HistoryMissing, the oracle's and the node's failures.
    """
    protocol, sending = get_protocol(parts.protocols, protocol_name), parts.get_sending(session)
    require_whole(session, parts, protocol_name)
    position = get_position(session, protocol_name, key)
    if position.status is not PositionStatus.OPEN:
        raise PositionEnded(f"The position is {position.status}.")
    detected_at = clock()
    prepared = prepare(session, protocol, [position], duty=LIQUIDATION, parts=parts, sending=sending, clock=clock)
    plan = Plan(protocol, LIQUIDATION, sending.signer, parts.caps.gas_ceiling, detected_at, clock(), job_id)
    (attempt,) = record(session, plan, prepared)
    if attempt.intent_id is None:
        raise refusal(attempt)
    return attempt.intent_id


def refusal(attempt: Attempt) -> AppError:
    """Why an attempt went no further."""
    if attempt.fate in REFUSALS:
        return REFUSALS[attempt.fate](attempt.detail or None)
    return attempt.error or LiquidationRefused(attempt.detail or None)
