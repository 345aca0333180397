"""The audit log: one entry for every change, written in the transaction of the change.

Other features call `record` with the request's `current_origin()`. Details name fields and old and new values, never a
secret: what has the name or the look of one is cut out all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.accounts.queries import audit as queries
from app.accounts.types import AuditEntry
from app.core.http.principal import Origin
from app.core.logging import redact_fields
from app.core.paging import Page, decode_cursor, page_of

LISTING = "audit"


def record(
    session: Session, origin: Origin, action: str, subject: str, detail: Mapping[str, Any] | None = None
) -> None:
    """Write an entry: `action` like `jobs.cancel`, `subject` like `job:<id>`; commits with the caller."""
    queries.insert(session, origin, action, subject, redact_fields(detail or {}))


def list_entries(session: Session, *, limit: int, cursor: str | None, filters: Mapping[str, str]) -> Page[AuditEntry]:
    """Newest first; `filters` are of `actor`, `action` and `subject`."""
    key = decode_cursor(LISTING, (UUID,), cursor)
    rows = queries.list_entries(session, before=key[0] if key else None, limit=limit + 1, **filters)
    return page_of(rows, limit=limit, listing=LISTING, key=lambda entry: (entry.id,))
