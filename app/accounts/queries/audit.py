"""Statements on audit_log, which only grows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from app.accounts.types import AuditEntry
from app.core.db import new_id
from app.core.http.principal import Origin

INSERT = text(
    """
    INSERT INTO audit_log (id, actor, action, subject, ip, request_id, detail)
    VALUES (:id, :actor, :action, :subject, :ip, :request_id, :detail)
    """
).bindparams(bindparam("detail", type_=JSONB))
LIST = text(
    """
    SELECT id, at, actor, action, subject, host(ip), request_id, detail FROM audit_log
    WHERE (CAST(:before AS uuid) IS NULL OR id < :before)
      AND (CAST(:actor AS text) IS NULL OR actor = :actor)
      AND (CAST(:action AS text) IS NULL OR action = :action)
      AND (CAST(:subject AS text) IS NULL OR subject = :subject)
    ORDER BY id DESC LIMIT :limit
    """
)


def insert(session: Session, origin: Origin, action: str, subject: str, detail: Mapping[str, Any]) -> None:
    """Add an entry."""
    session.execute(
        INSERT,
        {
            "id": new_id(),
            "actor": origin.actor,
            "action": action,
            "subject": subject,
            "ip": origin.ip,
            "request_id": origin.request_id,
            "detail": dict(detail),
        },
    )


def list_entries(
    session: Session,
    *,
    before: UUID | None,
    limit: int,
    actor: str | None = None,
    action: str | None = None,
    subject: str | None = None,
) -> list[AuditEntry]:
    """Newest first, from below `before`, of one actor, action or subject where given."""
    values = {"before": before, "limit": limit, "actor": actor, "action": action, "subject": subject}
    return [AuditEntry(*row) for row in session.execute(LIST, values)]
