"""SQL of chain_alarms: what an operator must look at. One open alarm a (chain, kind, subject)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.db import new_id

# Raised again while it is open, it stays the one alarm: an operator is not called twice for one thing.
RAISE = text("""
INSERT INTO chain_alarms (id, chain_id, kind, subject, detail, raised_at)
VALUES (:id, :chain_id, :kind, :subject, CAST(:detail AS jsonb), :now)
ON CONFLICT (chain_id, kind, subject) WHERE resolved_at IS NULL DO NOTHING
""")

RESOLVE = text("""
UPDATE chain_alarms SET resolved_at = :now
WHERE chain_id = :chain_id AND kind = :kind AND subject = :subject AND resolved_at IS NULL
""")


def raise_alarm(
    session: Session, chain_id: int, kind: str, subject: str, detail: Mapping[str, Any], now: datetime
) -> None:
    """Open an alarm, unless it is open already."""
    values = {"id": new_id(), "chain_id": chain_id, "kind": kind, "subject": subject, "now": now}
    session.execute(RAISE, values | {"detail": json.dumps(detail)})


def resolve(session: Session, chain_id: int, kind: str, subject: str, now: datetime) -> None:
    """Close an alarm."""
    session.execute(RESOLVE, {"chain_id": chain_id, "kind": kind, "subject": subject, "now": now})
