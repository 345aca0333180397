"""Statements on accounts_sessions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.accounts.types import Claims, SessionStanding, SignedIn
from app.core.db import new_id

INSERT = text(
    """
    INSERT INTO accounts_sessions (id, user_id, refresh_id, created_at, expires_at)
    VALUES (:id, :user_id, :refresh_id, :now, :expires_at)
    """
)

# One compare-and-set: of two requests with the same refresh token, one finds its id current and the other does not.
ROTATE = text(
    """
    UPDATE accounts_sessions s SET refresh_id = :next_id, refreshed_at = :now, expires_at = :expires_at
    FROM accounts_users u
    WHERE s.id = :id AND s.refresh_id = :token_id AND s.revoked_at IS NULL AND s.expires_at > :now
      AND u.id = s.user_id AND u.is_active
    RETURNING s.user_id
    """
)

# A refresh token that we signed for this session and that is not its current one has been used before.
REVOKE_IF_USED = text(
    """
    UPDATE accounts_sessions SET revoked_at = :now, revoked_reason = 'refresh_reused'
    WHERE id = :id AND refresh_id <> :token_id AND revoked_at IS NULL
    RETURNING id
    """
)
REVOKE = text(
    """
    UPDATE accounts_sessions SET revoked_at = :now, revoked_reason = :reason
    WHERE id = :id AND revoked_at IS NULL
    """
)
REVOKE_ALL = text(
    """
    UPDATE accounts_sessions SET revoked_at = :now, revoked_reason = :reason
    WHERE user_id = :user_id AND revoked_at IS NULL
    """
)
STANDING = text(
    """
    SELECT s.id, u.id, u.is_active, u.scopes, s.revoked_at, statement_timestamp()
    FROM accounts_sessions s JOIN accounts_users u ON u.id = s.user_id
    WHERE s.id = :id
    """
)
DELETE_EXPIRED = text("DELETE FROM accounts_sessions WHERE expires_at < :before")


def insert(session: Session, user_id: UUID, *, now: datetime, expires_at: datetime) -> SignedIn:
    """Open a session."""
    opened = SignedIn(user_id, new_id(), new_id())
    session.execute(
        INSERT,
        {
            "id": opened.session_id,
            "user_id": user_id,
            "refresh_id": opened.refresh_id,
            "now": now,
            "expires_at": expires_at,
        },
    )
    return opened


def rotate(session: Session, claims: Claims, *, now: datetime, expires_at: datetime) -> SignedIn | None:
    """Exchange the session's refresh token for the next one; None when the shown one is not the current one."""
    next_id = new_id()
    row = session.execute(
        ROTATE,
        {
            "id": claims.session_id,
            "token_id": claims.token_id,
            "next_id": next_id,
            "now": now,
            "expires_at": expires_at,
        },
    ).first()
    return SignedIn(row[0], claims.session_id, next_id) if row else None


def revoke_if_used(session: Session, claims: Claims, now: datetime) -> bool:
    """Revoke the session if the shown refresh token was exchanged before; true when this call did it."""
    values = {"id": claims.session_id, "token_id": claims.token_id, "now": now}
    return session.execute(REVOKE_IF_USED, values).first() is not None


def revoke(session: Session, session_id: UUID, *, reason: str, now: datetime) -> None:
    """End one session; a second time changes nothing."""
    session.execute(REVOKE, {"id": session_id, "reason": reason, "now": now})


def revoke_all(session: Session, user_id: UUID, *, reason: str, now: datetime) -> None:
    """End every session of a user."""
    session.execute(REVOKE_ALL, {"user_id": user_id, "reason": reason, "now": now})


def find_standing(session: Session, session_id: UUID) -> SessionStanding | None:
    """What deciding on the session's access tokens needs."""
    row = session.execute(STANDING, {"id": session_id}).first()
    return SessionStanding(*row) if row else None


def delete_expired(session: Session, before: datetime) -> int:
    """Forget sessions that ended before that moment; how many."""
    return int(session.execute(DELETE_EXPIRED, {"before": before}).rowcount)  # type: ignore[attr-defined]
