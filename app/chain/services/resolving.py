"""Alarms, resolved by an operator."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.errors import AlarmNotFound, AlarmResolved, AlarmStands
from app.chain.queries import alarms, reading, signers
from app.chain.services.halts import BREAKER_OPEN, SIGNER_HALTED
from app.chain.services.reorgs import FORK_BELOW_FINALITY
from app.chain.types.reading import RaisedAlarm


def resolve(session: Session, alarm_id: UUID) -> RaisedAlarm:
    """Close an alarm that somebody has looked at; returns it as it is then. Raises AlarmNotFound, AlarmResolved, and
    AlarmStands where something is still halted: the alarm would not be raised again."""
    alarm = _get(session, alarm_id)
    if _stands(session, alarm):
        raise AlarmStands()
    if not alarms.resolve_one(session, alarm_id):
        raise AlarmResolved()
    return _get(session, alarm_id)


def _get(session: Session, alarm_id: UUID) -> RaisedAlarm:
    alarm = reading.find_alarm(session, alarm_id)
    if alarm is None:
        raise AlarmNotFound()
    return alarm


def _stands(session: Session, alarm: RaisedAlarm) -> bool:
    if alarm.kind == FORK_BELOW_FINALITY:
        progress = reading.find_progress(session, alarm.chain_id, alarm.contract_set)
        return progress is not None and progress.halted_at is not None
    if alarm.kind not in (SIGNER_HALTED, BREAKER_OPEN):
        return False
    signer = signers.find(session, alarm.chain_id, bytes.fromhex(alarm.subject))
    if signer is None:
        return False
    return (signer.halt_reason if alarm.kind == SIGNER_HALTED else signer.breaker_reason) is not None
