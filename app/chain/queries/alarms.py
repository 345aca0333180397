"""Statements on alarms."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

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

# What a contract set's own trouble with its node was about: over when the set is read again.
RESOLVE_OF_SET = text(
    """
    UPDATE chain_alarms SET resolved_at = now()
    WHERE chain_id = :chain_id AND contract_set = :contract_set AND kind = ANY(:kinds) AND resolved_at IS NULL
    """
)

RESOLVE_KIND = text(
    """
    UPDATE chain_alarms SET resolved_at = now()
    WHERE chain_id = :chain_id AND kind = :kind AND resolved_at IS NULL
    """
)

RESOLVE_ONE = text("UPDATE chain_alarms SET resolved_at = now() WHERE id = :id AND resolved_at IS NULL")


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


def resolve_of_set(session: Session, chain_id: int, contract_set: str, kinds: Collection[str]) -> bool:
    """Close the open alarms of these kinds that a contract set has raised; False when there was none."""
    values = {"chain_id": chain_id, "contract_set": contract_set, "kinds": list(kinds)}
    return session.connection().execute(RESOLVE_OF_SET, values).rowcount > 0


def resolve_kind(session: Session, chain_id: int, kind: str) -> None:
    """Close every open alarm of this kind on the chain."""
    session.execute(RESOLVE_KIND, {"chain_id": chain_id, "kind": kind})


def resolve_one(session: Session, alarm_id: UUID) -> bool:
    """Close an alarm; False when it is closed already."""
    return session.connection().execute(RESOLVE_ONE, {"id": alarm_id}).rowcount == 1
