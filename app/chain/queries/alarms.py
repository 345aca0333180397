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
