"""Making and changing users, for administrators over HTTP and for `manage.py user`.

After the commit the caller calls `StandingCache.mark_changed(str(user.id))`, so that every process asks Postgres again;
without that call the change is felt within `accounts.revocation_cache_seconds`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.accounts.adapters.argon2 import Passwords
from app.accounts.errors import BadLogin, LoginTaken, OwnAccount, UnknownScope, UserNotFound, WeakPassword
from app.accounts.queries import sessions, users
from app.accounts.services.audit import record
from app.accounts.types import LOGIN, MAX_PASSWORD, MIN_PASSWORD, Scope, User, principal_id
from app.core.http.principal import Origin
from app.core.paging import Page, decode_cursor, page_of

LISTING = "users"


def create_user(
    session: Session,
    *,
    passwords: Passwords,
    login: str,
    password: str,
    scopes: Iterable[str],
    origin: Origin,
    now: datetime,
) -> User:
    """Add a user; raises BadLogin, WeakPassword, UnknownScope or LoginTaken."""
    login = login.lower()
    if not LOGIN.match(login):
        raise BadLogin(errors=[{"pointer": "/login", "detail": BadLogin.default_detail()}])
    _check_password(password, login)
    known = known_scopes(scopes)
    user = users.insert(session, login=login, password_hash=passwords.hash(password), scopes=known, now=now)
    if user is None:
        raise LoginTaken()
    record(session, origin, "users.create", principal_id(user.id), {"login": login, "scopes": known})
    return user


def get_user(session: Session, user_id: UUID) -> User:
    """The user; raises UserNotFound."""
    return _found(users.find(session, user_id))


def get_user_by_login(session: Session, login: str) -> User:
    """The user of that login, in whatever case; raises UserNotFound."""
    return _found(users.find_by_login(session, login.lower()))


def list_users(session: Session, *, limit: int, cursor: str | None = None) -> Page[User]:
    """Newest first; raises InvalidInput for a cursor of another list."""
    key = decode_cursor(LISTING, (UUID,), cursor)
    rows = users.list_users(session, before=key[0] if key else None, limit=limit + 1)
    return page_of(rows, limit=limit, listing=LISTING, key=lambda user: (user.id,))


def deactivate_user(session: Session, user_id: UUID, *, origin: Origin, now: datetime) -> User:
    """Shut the user out: sessions end for good, API keys work again only if the user is let in again."""
    _refuse_own(origin, user_id)
    user = _found(users.set_active(session, user_id, False))
    sessions.revoke_all(session, user_id, reason="deactivated", now=now)
    record(session, origin, "users.deactivate", principal_id(user_id))
    return user


def activate_user(session: Session, user_id: UUID, *, origin: Origin) -> User:
    """Let the user in again; raises UserNotFound."""
    user = _found(users.set_active(session, user_id, True))
    record(session, origin, "users.activate", principal_id(user_id))
    return user


def set_scopes(session: Session, user_id: UUID, scopes: Iterable[str], *, origin: Origin) -> User:
    """Replace the user's scopes; their keys are cut down to what is left. Raises UnknownScope or UserNotFound."""
    _refuse_own(origin, user_id)
    known = known_scopes(scopes)
    before = get_user(session, user_id)
    user = _found(users.set_scopes(session, user_id, known))
    record(session, origin, "users.scopes", principal_id(user_id), {"before": before.scopes, "after": known})
    return user


def set_password(
    session: Session, user: User, password: str, *, passwords: Passwords, origin: Origin, now: datetime
) -> None:
    """Give the user another password and end all their sessions; API keys stay. Raises WeakPassword."""
    _check_password(password, user.login)
    users.set_password(session, user.id, passwords.hash(password))
    sessions.revoke_all(session, user.id, reason="password", now=now)
    record(session, origin, "users.password", principal_id(user.id))


def known_scopes(scopes: Iterable[str]) -> list[str]:
    """The scopes in order and once each; raises UnknownScope naming what is not one."""
    wanted = sorted(set(scopes))
    unknown = [scope for scope in wanted if scope not in Scope.__members__.values()]
    if unknown:
        detail = f"No such scope: {', '.join(unknown)}."
        raise UnknownScope(errors=[{"pointer": "/scopes", "detail": detail}])
    return wanted


def _check_password(password: str, login: str) -> None:
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD or login in password.lower():
        detail = f"Between {MIN_PASSWORD} and {MAX_PASSWORD} characters, and without the login in it."
        raise WeakPassword(errors=[{"pointer": "/password", "detail": detail}])


def _refuse_own(origin: Origin, user_id: UUID) -> None:
    if origin.actor == principal_id(user_id):
        raise OwnAccount()


def _found(user: User | None) -> User:
    if user is None:
        raise UserNotFound()
    return user
