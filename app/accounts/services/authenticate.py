"""From a credential to the principal it stands for. Postgres decides; what it said is remembered for some seconds."""

from __future__ import annotations

import hmac
from datetime import datetime

from sqlalchemy.orm import Session

from app.accounts.adapters.standing_cache import StandingCache
from app.accounts.errors import KeyRefused, TokenExpired, TokenRevoked
from app.accounts.queries import api_keys, sessions
from app.accounts.services.api_keys import split_key
from app.accounts.types import Claims, KeyStanding, principal_id
from app.core.db import OpenSession
from app.core.http.principal import ADMIN, Principal


def authenticate_token(open_session: OpenSession, cache: StandingCache, claims: Claims) -> Principal:
    """The user of an access token whose signature was checked; raises TokenRevoked when its session or user has ended.

    Scopes are the user's present ones, not those at sign-in. The token's signature was checked by this machine's clock,
    which may be slow: by the database's it must not have expired either (TokenExpired).
    """
    session_id = claims.session_id
    standing = cache.recall(f"session:{session_id}", lambda: sessions.find_standing(open_session(), session_id))
    if standing is None or standing.revoked_at is not None or not standing.is_active:
        raise TokenRevoked()
    if standing.user_id != claims.user_id:
        raise TokenRevoked()
    if claims.expires_at <= standing.read_at:
        raise TokenExpired()
    scopes = frozenset(standing.scopes)
    return Principal(principal_id(standing.user_id), scopes, "session", str(session_id), claims.expires_at)


def authenticate_key(session: Session, cache: StandingCache, shown: str, now: datetime) -> Principal:
    """The owner of an API key, with the scopes they both hold; raises KeyRefused, whatever the reason."""
    parts = split_key(shown)
    if parts is None:
        raise KeyRefused()
    key_id, digest = parts
    standing = cache.recall(f"key:{key_id}", lambda: api_keys.find_standing(session, key_id))
    if standing is None:
        raise KeyRefused()
    now = max(now, standing.read_at)  # this machine's clock may be slow
    if not _is_secret(standing, digest, now) or not _is_live(standing, now):
        raise KeyRefused()
    if cache.is_use_due(f"key:{key_id}"):
        api_keys.record_use(session, key_id, now)
    scopes = _shared_scopes(standing)
    return Principal(principal_id(standing.user_id), scopes, "api_key", str(key_id), standing.expires_at)


def _is_secret(standing: KeyStanding, digest: bytes, now: datetime) -> bool:
    """Compared in constant time with the present secret and, while its grace lasts, with the one before."""
    present = hmac.compare_digest(standing.secret_sha256, digest)
    before = hmac.compare_digest(standing.previous_sha256 or standing.secret_sha256, digest)
    in_grace = standing.previous_until is not None and now < standing.previous_until
    return present or (before and in_grace)


def _is_live(standing: KeyStanding, now: datetime) -> bool:
    expired = standing.expires_at is not None and standing.expires_at <= now
    return standing.is_active and standing.revoked_at is None and not expired


def _shared_scopes(standing: KeyStanding) -> frozenset[str]:
    """A key never outlives its owner's rights: what both hold, where an owner who is `admin` holds everything."""
    own = frozenset(standing.owner_scopes)
    return frozenset(standing.scopes) if ADMIN in own else frozenset(standing.scopes) & own
