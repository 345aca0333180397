"""Opening, refreshing and ending sessions.

What must be remembered of a failure is written before it is raised: the route commits although it answers an error.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.accounts.adapters.argon2 import Passwords
from app.accounts.errors import RefreshReused, SignInLocked, SignInRefused, TokenRevoked
from app.accounts.queries import attempts, sessions, users
from app.accounts.services.audit import record
from app.accounts.services.users import get_user, set_password
from app.accounts.types import Claims, SignedIn, principal_id
from app.core.http.principal import Origin
from app.core.logging import get_logger

log = get_logger(__name__)


def sign_in(
    session: Session,
    *,
    passwords: Passwords,
    login: str,
    password: str,
    lifetime: timedelta,
    origin: Origin,
    now: datetime,
) -> SignedIn:
    """Open a session. Raises SignInRefused for an unknown login, a wrong password and a deactivated user, alike and in
    the same time; SignInLocked after too many failures, also of a login that nobody has.
    """
    login = login.lower()
    stored = _verify(session, passwords, login, password, origin, now)
    if passwords.is_due(stored.password_hash):
        users.set_password(session, stored.user_id, passwords.hash(password))
    users.record_sign_in(session, stored.user_id, now)
    opened = sessions.insert(session, stored.user_id, now=now, expires_at=now + lifetime)
    record(session, _by(origin, stored.user_id), "sessions.open", f"session:{opened.session_id}")
    return opened


def refresh(session: Session, claims: Claims, *, lifetime: timedelta, origin: Origin, now: datetime) -> SignedIn:
    """Exchange a refresh token for the next one. Raises RefreshReused for one that was exchanged before, which ends its
    session; TokenRevoked when the session has ended.
    """
    renewed = sessions.rotate(session, claims, now=now, expires_at=now + lifetime)
    if renewed is not None:
        return renewed
    if not sessions.revoke_if_used(session, claims, now):
        raise TokenRevoked()
    record(session, _by(origin, claims.user_id), "sessions.reuse", f"session:{claims.session_id}")
    log.warning("accounts.refresh_reused", session_id=claims.session_id)
    raise RefreshReused()


def sign_out(session: Session, session_id: UUID, *, origin: Origin, now: datetime) -> None:
    """End the session and with it every token that came of it."""
    sessions.revoke(session, session_id, reason="signed_out", now=now)
    record(session, origin, "sessions.close", f"session:{session_id}")


def change_password(
    session: Session,
    user_id: UUID,
    *,
    passwords: Passwords,
    current: str,
    new: str,
    origin: Origin,
    now: datetime,
) -> None:
    """Replace one's own password, which ends every session. Raises SignInRefused or SignInLocked as signing in does, so
    that a stolen access token is no way to guess the password; WeakPassword for the new one.
    """
    user = get_user(session, user_id)
    _verify(session, passwords, user.login, current, origin, now)
    set_password(session, user, new, passwords=passwords, origin=origin, now=now)


def _verify(
    session: Session, passwords: Passwords, login: str, password: str, origin: Origin, now: datetime
) -> users.Password:
    """The stored password of an active user who has just shown it; every attempt counts, the right one clears them."""
    digest = hashlib.sha256(login.encode()).digest()
    if not attempts.reserve(session, digest, now):
        wait = attempts.locked_until(session, digest) - now
        raise SignInLocked(retry_after_seconds=wait.total_seconds())
    stored = users.find_password(session, login)
    right = passwords.verify(stored.password_hash if stored else None, password)
    if stored is None:
        raise SignInRefused()
    if not right or not stored.is_active:
        record(session, _by(origin, stored.user_id), "sessions.refused", principal_id(stored.user_id))
        raise SignInRefused()
    attempts.clear(session, digest)
    return stored


def _by(origin: Origin, user_id: UUID) -> Origin:
    """The same request, by a user who is known only now."""
    return replace(origin, actor=principal_id(user_id))
