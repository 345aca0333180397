"""Callbacks that were made."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

DELIVERED = text("UPDATE job_callbacks SET delivered_at = statement_timestamp() WHERE job_id = :job_id")


def mark_delivered(session: Session, job_id: UUID) -> None:
    """The receiver took it."""
    session.execute(DELIVERED, {"job_id": job_id})
