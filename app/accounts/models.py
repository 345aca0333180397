"""The tables of accounts. Logins are stored in lower case, so that uniqueness ignores case."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Boolean, CheckConstraint, ForeignKey, Index, Integer, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, INET, JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, new_id

Moment = TIMESTAMP(timezone=True)
NOW = text("now()")


class UserRow(Base):
    """A person or a program that signs in."""

    __tablename__ = "accounts_users"
    __table_args__ = (
        UniqueConstraint("login"),
        CheckConstraint("login = lower(login)", name="login_lower"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    login: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    is_active: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=NOW)
    last_login_at: Mapped[datetime | None] = mapped_column(Moment)


class SessionRow(Base):
    """A sign-in and all the tokens that came of it; `refresh_id` names the one refresh token that still works."""

    __tablename__ = "accounts_sessions"
    __table_args__ = (
        Index("ix_accounts_sessions_live", "user_id", postgresql_where=text("revoked_at IS NULL")),
        Index("ix_accounts_sessions_expires_at", "expires_at"),
        CheckConstraint("(revoked_at IS NULL) = (revoked_reason IS NULL)", name="revoked_reason"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("accounts_users.id"))
    refresh_id: Mapped[UUID]
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=NOW)
    refreshed_at: Mapped[datetime | None] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_reason: Mapped[str | None] = mapped_column(Text)


class ApiKeyRow(Base):
    """An API key: SHA-256 of 256 random bits; after a rotation the secret before works until `previous_until`."""

    __tablename__ = "accounts_api_keys"
    __table_args__ = (
        Index("ix_accounts_api_keys_user_id", "user_id", "id"),
        CheckConstraint("octet_length(secret_sha256) = 32", name="secret_sha256"),
        CheckConstraint("(previous_sha256 IS NULL) = (previous_until IS NULL)", name="previous"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("accounts_users.id"))
    name: Mapped[str] = mapped_column(Text)
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    previous_sha256: Mapped[bytes | None] = mapped_column(LargeBinary)
    previous_until: Mapped[datetime | None] = mapped_column(Moment)
    created_at: Mapped[datetime] = mapped_column(Moment, server_default=NOW)
    expires_at: Mapped[datetime | None] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    rotated_at: Mapped[datetime | None] = mapped_column(Moment)
    last_used_at: Mapped[datetime | None] = mapped_column(Moment)


class SignInAttemptRow(Base):
    """Failed attempts for a login, known or not, so that a lock tells nothing of who exists. Holds a hash, no login."""

    __tablename__ = "accounts_sign_in_attempts"
    __table_args__ = (Index("ix_accounts_sign_in_attempts_updated_at", "updated_at"),)

    login_sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    locked_until: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)


class AuditRow(Base):
    """Who changed what; append-only by trigger."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("ix_audit_log_actor", "actor", "id"),
        Index("ix_audit_log_subject", "subject", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[datetime] = mapped_column(Moment, server_default=NOW)
    actor: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    ip: Mapped[str | None] = mapped_column(INET)
    request_id: Mapped[str | None] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'::jsonb"))
