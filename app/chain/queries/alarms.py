"""Statements on alarms."""

from __future__ import annotations

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from app.chain.types.indexing import Alarm
from app.core.db import new_id

RAISE = text(
    """
    INSERT INTO chain_alarms (id, chain_id, contract_set, kind, subject, detail)
    VALUES (:id, :chain_id, :contract_set, :kind, :subject, :detail)
    ON CONFLICT (chain_id, kind, subject) WHERE resolved_at IS NULL
    DO UPDATE SET count = chain_alarms.count + 1, last_at = now(), detail = excluded.detail
    """
).bindparams(bindparam("detail", type_=JSONB))

RESOLVE = text(
    """
    UPDATE chain_alarms SET resolved_at = now()
    WHERE chain_id = :chain_id AND kind = :kind AND subject = :subject AND resolved_at IS NULL
    """
)


def raise_alarm(session: Session, alarm: Alarm) -> None:
    """Record an alarm, or count up the open one of its kind and subject."""
    values = {
        "id": new_id(),
        "chain_id": alarm.chain_id,
        "contract_set": alarm.contract_set,
        "kind": alarm.kind,
        "subject": alarm.subject,
        "detail": dict(alarm.detail),
    }
    session.execute(RAISE, values)


def resolve_alarm(session: Session, chain_id: int, kind: str, subject: str) -> None:
    """Close the open alarm of this kind and subject, if there is one."""
    session.execute(RESOLVE, {"chain_id": chain_id, "kind": kind, "subject": subject})
