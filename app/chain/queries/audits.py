"""Statements on audits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.types.providers import Audit, RangeAudit
from app.core.db import new_id

WRITE = text(
    """
    INSERT INTO chain_audits (id, chain_id, contract_set, first_block, last_block, provider, method, rows_missing,
                              rows_extra, rows_repaired, calls)
    VALUES (:id, :chain_id, :contract_set, :first_block, :last_block, :provider, :method, :rows_missing,
            :rows_extra, :rows_repaired, :calls)
    """
)

LAST = text(
    """
    SELECT last_block FROM chain_audits WHERE chain_id = :chain_id AND contract_set = :contract_set
    ORDER BY id DESC LIMIT 1
    """
)

PRUNE = text(
    """
    DELETE FROM chain_audits WHERE id IN (
        SELECT id FROM chain_audits AS old
        WHERE audited_at < statement_timestamp() - make_interval(days => :days)
          AND EXISTS (SELECT FROM chain_audits AS newer
                      WHERE newer.chain_id = old.chain_id AND newer.contract_set = old.contract_set
                        AND newer.id > old.id)
        LIMIT :limit)
    """
)

NEWEST_FIRST = text(
    """
    SELECT first_block, last_block, provider, method, rows_missing, rows_extra, rows_repaired, calls,
           id, chain_id, contract_set, audited_at
    FROM chain_audits
    WHERE (CAST(:before AS uuid) IS NULL OR id < :before)
      AND (NOT :differing OR rows_missing > 0 OR rows_extra > 0)
    ORDER BY id DESC LIMIT :limit
    """
)


def write(session: Session, chain_id: int, contract_set: str, audit: RangeAudit) -> None:
    """Write down an audit."""
    values = {"id": new_id(), "chain_id": chain_id, "contract_set": contract_set} | asdict(audit)
    session.execute(WRITE, values)


def last_audited(session: Session, chain_id: int, contract_set: str) -> int | None:
    """The last block of the newest audit; None before the first."""
    last: int | None = session.execute(LAST, {"chain_id": chain_id, "contract_set": contract_set}).scalar_one_or_none()
    return last


def list_audits(session: Session, *, before: UUID | None, differing: bool, limit: int) -> Sequence[Audit]:
    """Audits, newest first; with `differing` those that found something."""
    rows = session.execute(NEWEST_FIRST, {"before": before, "differing": differing, "limit": limit})
    return [Audit(**row._asdict()) for row in rows]


def prune(session: Session, *, days: int, limit: int) -> int:
    """Delete up to `limit` audits older than `days`, never a set's newest; returns how many went."""
    return int(session.execute(PRUNE, {"days": days, "limit": limit}).rowcount)  # type: ignore[attr-defined]
