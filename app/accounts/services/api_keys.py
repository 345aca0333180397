"""API keys: `wk_<id>_<secret>`, shown once, kept as SHA-256 of 256 random bits.

A key speaks as its owner, with its own scopes as far as the owner still holds them. Nobody makes or rotates a key that
may do more than the credential they show.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from app.accounts.errors import KeyNotFound, KeyNotLive, ScopeBeyondOwn
from app.accounts.queries import api_keys as queries
from app.accounts.services.audit import record
from app.accounts.services.users import known_scopes
from app.accounts.types import ApiKey, NewKey
from app.core.errors import InvalidInput
from app.core.http.principal import Origin, Principal
from app.core.paging import Page, decode_cursor, page_of

LISTING = "api_keys"
SECRET_BYTES = 32
_SHOWN = re.compile(r"wk_([0-9a-f]{32})_([A-Za-z0-9_-]{43})\Z")


def create_key(
    session: Session,
    user_id: UUID,
    *,
    principal: Principal,
    name: str,
    scopes: Iterable[str],
    expires_at: datetime | None,
    origin: Origin,
    now: datetime,
) -> NewKey:
    """A new key of the caller; raises UnknownScope, ScopeBeyondOwn, or InvalidInput for an expiry in the past."""
    wanted = known_scopes(scopes)
    _refuse_beyond(principal, wanted)
    if expires_at is not None and expires_at <= now:
        raise InvalidInput(errors=[{"pointer": "/expires_at", "detail": "Is in the past."}])
    secret, digest = _new_secret()
    key = queries.add(
        session, user_id=user_id, name=name, scopes=wanted, secret_sha256=digest, expires_at=expires_at, now=now
    )
    record(session, origin, "api_keys.create", _subject(key.id), {"name": name, "scopes": wanted})
    return NewKey(key, shown_key(key.id, secret))


def list_keys(session: Session, user_id: UUID, *, limit: int, cursor: str | None) -> Page[ApiKey]:
    """The caller's keys, newest first; revoked ones too."""
    key = decode_cursor(LISTING, (UUID,), cursor)
    rows = queries.list_keys(session, user_id, before=key[0] if key else None, limit=limit + 1)
    return page_of(rows, limit=limit, listing=LISTING, key=lambda row: (row.id,))


def rotate_key(
    session: Session,
    user_id: UUID,
    key_id: UUID,
    *,
    principal: Principal,
    grace: timedelta,
    origin: Origin,
    now: datetime,
) -> NewKey:
    """Give the key another secret; the one before works for `grace` more, and the one before that no longer.

    Raises KeyNotFound, KeyNotLive, or ScopeBeyondOwn.
    """
    key = queries.find(session, key_id, user_id)
    if key is None:
        raise KeyNotFound()
    _refuse_beyond(principal, key.scopes)
    secret, digest = _new_secret()
    rotated = queries.rotate(session, key, secret_sha256=digest, previous_until=now + grace, now=now)
    if rotated is None:
        raise KeyNotLive()
    record(session, origin, "api_keys.rotate", _subject(key_id), {"grace_seconds": int(grace.total_seconds())})
    return NewKey(rotated, shown_key(key_id, secret))


def revoke_key(session: Session, user_id: UUID, key_id: UUID, *, origin: Origin, now: datetime) -> None:
    """End the key; a second time changes nothing. Raises KeyNotFound."""
    if queries.revoke(session, key_id, user_id, now):
        record(session, origin, "api_keys.revoke", _subject(key_id))
    elif queries.find(session, key_id, user_id) is None:
        raise KeyNotFound()


def shown_key(key_id: UUID, secret: str) -> str:
    """The key as its holder sends it."""
    return f"wk_{key_id.hex}_{secret}"


def split_key(shown: str) -> tuple[UUID, bytes] | None:
    """The id and the hash of the secret of a key as sent; None for anything else."""
    found = _SHOWN.match(shown)
    return (UUID(found[1]), hashlib.sha256(found[2].encode()).digest()) if found else None


def _new_secret() -> tuple[str, bytes]:
    secret = secrets.token_urlsafe(SECRET_BYTES)
    return secret, hashlib.sha256(secret.encode()).digest()


def _refuse_beyond(principal: Principal, scopes: Iterable[str]) -> None:
    if not principal.covers(frozenset(scopes)):
        raise ScopeBeyondOwn()


def _subject(key_id: UUID) -> str:
    return f"api_key:{key_id}"
