"""What the routes of accounts read of the app and of the request."""

from __future__ import annotations

from uuid import UUID

from flask import current_app

from app.accounts.adapters import Accounts
from app.accounts.errors import SessionRequired
from app.accounts.types import user_id_of
from app.core.http.guard import current_principal
from app.core.http.unit_of_work import after_commit


def accounts() -> Accounts:
    """The adapters that the factory built."""
    built: Accounts = current_app.extensions["accounts"]
    return built


def caller_id() -> UUID:
    """The user who calls."""
    return user_id_of(current_principal().id)


def caller_session_id() -> UUID:
    """The session of the access token shown; raises SessionRequired for an API key."""
    principal = current_principal()
    if principal.method != "session":
        raise SessionRequired()
    return UUID(principal.credential_id)


def mark_changed(subject: UUID) -> None:
    """Once the change is committed, every process reads that session, key or user anew."""
    standings = accounts().standings
    after_commit(lambda: standings.mark_changed(str(subject)))
