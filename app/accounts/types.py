"""The words of accounts: scopes, who a credential stands for, and what sign-in and key making hand back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

MIN_PASSWORD = 12
MAX_PASSWORD = 256
MARK = "wk:changed:"
"""In the cache, by session, key or user: something about it has changed; the value is Redis's time then, in ms."""

MARK_SECONDS = 120
"""Marks live at least so long, for those who look seldom."""

EPOCH = "wk:standing_epoch"
"""In the cache: a random word; another one says that marks were lost."""

LOGIN = re.compile(r"[a-z0-9][a-z0-9._+-]{1,62}(@[a-z0-9][a-z0-9.-]{1,188})?\Z")


class Scope(StrEnum):
    """What a credential may do: a closed list. `admin` implies all of it."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    JOBS_CANCEL = "jobs:cancel"
    OPS_READ = "ops:read"
    OPS_WRITE = "ops:write"
    CHAIN_READ = "chain:read"
    CHAIN_WRITE = "chain:write"
    ORACLE_READ = "oracle:read"
    ORACLE_WRITE = "oracle:write"
    PERPS_READ = "perps:read"
    PERPS_WRITE = "perps:write"
    ACCOUNTS_WRITE = "accounts:write"
    ADMIN = "admin"


class User(NamedTuple):
    """A row of accounts_users, without its password."""

    id: UUID
    login: str
    scopes: list[str]
    is_active: bool
    created_at: datetime
    last_login_at: datetime | None


class ApiKey(NamedTuple):
    """A row of accounts_api_keys, without its secret."""

    id: UUID
    user_id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    rotated_at: datetime | None
    previous_until: datetime | None


class AuditEntry(NamedTuple):
    """A row of audit_log."""

    id: UUID
    at: datetime
    actor: str
    action: str
    subject: str
    ip: str | None
    request_id: str | None
    detail: dict[str, object]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A session that was opened or refreshed: what its two tokens are signed over."""

    user_id: UUID
    session_id: UUID
    refresh_id: UUID


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token of ours says, once its signature, type and expiry have been checked."""

    user_id: UUID
    session_id: UUID
    token_id: UUID
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class NewKey:
    """An API key as it is shown once; only a hash of the secret is kept."""

    key: ApiKey
    secret: str

    def __repr__(self) -> str:
        return f"NewKey({self.key.id})"


class SessionStanding(NamedTuple):
    """All that deciding on an access token needs, read in one row, and what time it was in the database then."""

    session_id: UUID
    user_id: UUID
    is_active: bool
    scopes: list[str]
    revoked_at: datetime | None
    read_at: datetime

    @property
    def subjects(self) -> tuple[str, str]:
        """Whose changes make this stale."""
        return str(self.session_id), str(self.user_id)


class KeyStanding(NamedTuple):
    """All that deciding on an API key needs, read in one row, and what time it was in the database then."""

    key_id: UUID
    user_id: UUID
    is_active: bool
    owner_scopes: list[str]
    scopes: list[str]
    secret_sha256: bytes
    previous_sha256: bytes | None
    previous_until: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None
    read_at: datetime

    @property
    def subjects(self) -> tuple[str, str]:
        """Whose changes make this stale."""
        return str(self.key_id), str(self.user_id)


def principal_id(user_id: UUID) -> str:
    """How a user is named as a principal, whatever credential they show."""
    return f"user:{user_id}"


def user_id_of(principal: str) -> UUID:
    """The user that a principal names; raises ValueError for `system`."""
    return UUID(principal.removeprefix("user:"))
