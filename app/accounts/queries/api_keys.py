"""Statements on accounts_api_keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Executable, func, insert, or_, select, update
from sqlalchemy.orm import Session

from app.accounts.models import ApiKeyRow, UserRow
from app.accounts.types import ApiKey, KeyStanding
from app.core.db import new_id

COLUMNS = (
    ApiKeyRow.id,
    ApiKeyRow.user_id,
    ApiKeyRow.name,
    ApiKeyRow.scopes,
    ApiKeyRow.created_at,
    ApiKeyRow.expires_at,
    ApiKeyRow.revoked_at,
    ApiKeyRow.last_used_at,
    ApiKeyRow.rotated_at,
    ApiKeyRow.previous_until,
)
USE_NOTED_EVERY = timedelta(minutes=1)

# In the order of KeyStanding's fields.
STANDING = select(
    ApiKeyRow.id,
    UserRow.id,
    UserRow.is_active,
    UserRow.scopes,
    ApiKeyRow.scopes,
    ApiKeyRow.secret_sha256,
    ApiKeyRow.previous_sha256,
    ApiKeyRow.previous_until,
    ApiKeyRow.expires_at,
    ApiKeyRow.revoked_at,
    func.statement_timestamp(),
).join(UserRow, UserRow.id == ApiKeyRow.user_id)


def add(
    session: Session,
    *,
    user_id: UUID,
    name: str,
    scopes: Sequence[str],
    secret_sha256: bytes,
    expires_at: datetime | None,
    now: datetime,
) -> ApiKey:
    """A new key."""
    values = {
        "id": new_id(),
        "user_id": user_id,
        "name": name,
        "scopes": list(scopes),
        "secret_sha256": secret_sha256,
        "created_at": now,
        "expires_at": expires_at,
    }
    return ApiKey._make(session.execute(insert(ApiKeyRow).values(values).returning(*COLUMNS)).one())


def find(session: Session, key_id: UUID, user_id: UUID) -> ApiKey | None:
    """The key, when it is that user's."""
    return _one(session, select(*COLUMNS).where(*_is(key_id, user_id)))


def list_keys(session: Session, user_id: UUID, *, before: UUID | None, limit: int) -> list[ApiKey]:
    """The user's keys, newest first, from below `before`."""
    statement = select(*COLUMNS).where(ApiKeyRow.user_id == user_id).order_by(ApiKeyRow.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(ApiKeyRow.id < before)
    return [ApiKey._make(row) for row in session.execute(statement)]


def rotate(
    session: Session, key: ApiKey, *, secret_sha256: bytes, previous_until: datetime, now: datetime
) -> ApiKey | None:
    """Give the key another secret, the one before working until then; None when it is revoked or has expired."""
    not_expired = or_(ApiKeyRow.expires_at.is_(None), ApiKeyRow.expires_at > now)
    statement = (
        update(ApiKeyRow)
        .where(*_is(key.id, key.user_id), ApiKeyRow.revoked_at.is_(None), not_expired)
        .values(
            previous_sha256=ApiKeyRow.secret_sha256,
            previous_until=previous_until,
            secret_sha256=secret_sha256,
            rotated_at=now,
        )
        .returning(*COLUMNS)
    )
    return _one(session, statement)


def revoke(session: Session, key_id: UUID, user_id: UUID, now: datetime) -> bool:
    """End the key; true when this call did it."""
    statement = update(ApiKeyRow).where(*_is(key_id, user_id), ApiKeyRow.revoked_at.is_(None))
    return _one(session, statement.values(revoked_at=now).returning(*COLUMNS)) is not None


def find_standing(session: Session, key_id: UUID) -> KeyStanding | None:
    """What deciding on the key needs."""
    row = session.execute(STANDING.where(ApiKeyRow.id == key_id)).first()
    return KeyStanding._make(row) if row else None


def record_use(session: Session, key_id: UUID, now: datetime) -> None:
    """Remember that the key was used: at most one write a minute, however many processes serve it."""
    is_due = or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at <= now - USE_NOTED_EVERY)
    session.execute(update(ApiKeyRow).where(ApiKeyRow.id == key_id, is_due).values(last_used_at=now))


def _is(key_id: UUID, user_id: UUID) -> tuple[ColumnElement[Any], ...]:
    return ApiKeyRow.id == key_id, ApiKeyRow.user_id == user_id


def _one(session: Session, statement: Executable) -> ApiKey | None:
    row = session.execute(statement).first()
    return ApiKey._make(row) if row else None
