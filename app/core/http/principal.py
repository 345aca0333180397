"""Who is calling, as plain values that services may take. Imports no Flask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

ADMIN = "admin"

Method = Literal["session", "api_key"]


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows to prove who sends it; secrets, so never printed."""

    bearer: str | None = None
    api_key: str | None = None

    def __repr__(self) -> str:
        return "Credentials(...)"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller: `user:<uuid>`; the user's API keys speak as the user.

    `credential_id` is the session or the API key that was shown, `expires_at` when it stops working by itself (None:
    never); `scopes` are what this credential may do.
    """

    id: str
    scopes: frozenset[str]
    method: Method
    credential_id: str | None = None
    expires_at: datetime | None = None

    def may(self, scope: str) -> bool:
        """True when the principal holds `scope`; `admin` implies every scope."""
        return scope in self.scopes or ADMIN in self.scopes

    def covers(self, scopes: frozenset[str]) -> bool:
        """True when everything in `scopes` is already the principal's own: nobody hands on more than they hold."""
        return all(self.may(scope) for scope in scopes)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a change comes from, as the audit log records it: a request, or a command line."""

    actor: str
    ip: str | None = None
    request_id: str | None = None
