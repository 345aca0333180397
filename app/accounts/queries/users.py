"""Statements on accounts_users."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Executable, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from app.accounts.models import UserRow
from app.accounts.types import User
from app.core.db import new_id

COLUMNS = (
    UserRow.id,
    UserRow.login,
    UserRow.scopes,
    UserRow.is_active,
    UserRow.created_at,
    UserRow.last_login_at,
)


class Password(NamedTuple):
    """What verifying a password needs."""

    user_id: UUID
    password_hash: str
    is_active: bool


def insert(session: Session, *, login: str, password_hash: str, scopes: Sequence[str], now: datetime) -> User | None:
    """The new user, or None when the login is taken, perhaps by an insert that runs at the same moment."""
    values = {"id": new_id(), "login": login, "password_hash": password_hash, "scopes": list(scopes), "created_at": now}
    return _one(session, upsert(UserRow).values(values).on_conflict_do_nothing().returning(*COLUMNS))


def find(session: Session, user_id: UUID) -> User | None:
    """The user of that id."""
    return _one(session, select(*COLUMNS).where(UserRow.id == user_id))


def find_by_login(session: Session, login: str) -> User | None:
    """The user of that login (in lower case)."""
    return _one(session, select(*COLUMNS).where(UserRow.login == login))


def find_password(session: Session, login: str) -> Password | None:
    """The password hash of that login (in lower case)."""
    statement = select(UserRow.id, UserRow.password_hash, UserRow.is_active).where(UserRow.login == login)
    row = session.execute(statement).first()
    return Password(*row) if row else None


def list_users(session: Session, *, before: UUID | None, limit: int) -> list[User]:
    """Newest first, from below `before`."""
    statement = select(*COLUMNS).order_by(UserRow.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(UserRow.id < before)
    return [User(*row) for row in session.execute(statement)]


def set_password(session: Session, user_id: UUID, password_hash: str) -> None:
    """Replace the password hash."""
    session.execute(update(UserRow).where(UserRow.id == user_id).values(password_hash=password_hash))


def record_sign_in(session: Session, user_id: UUID, now: datetime) -> None:
    """Remember the moment of the last sign-in."""
    session.execute(update(UserRow).where(UserRow.id == user_id).values(last_login_at=now))


def set_active(session: Session, user_id: UUID, active: bool) -> User | None:
    """Let the user in, or out; None when there is no such user."""
    return _change(session, user_id, is_active=active)


def set_scopes(session: Session, user_id: UUID, scopes: Sequence[str]) -> User | None:
    """Replace the user's scopes; None when there is no such user."""
    return _change(session, user_id, scopes=list(scopes))


def _change(session: Session, user_id: UUID, **values: Any) -> User | None:
    return _one(session, update(UserRow).where(UserRow.id == user_id).values(**values).returning(*COLUMNS))


def _one(session: Session, statement: Executable) -> User | None:
    row = session.execute(statement).first()
    return User(*row) if row else None
