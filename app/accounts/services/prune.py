"""Forgetting what no longer decides anything: sessions past their expiry and old failed attempts."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from app.accounts.queries import attempts, sessions

KEEP_SESSIONS = timedelta(days=30)
KEEP_ATTEMPTS = timedelta(days=1)


def prune(session: Session, now: datetime) -> dict[str, int]:
    """Delete them; how many of each. A token outlives its row no longer than its own expiry, which has passed."""
    return {
        "sessions": sessions.delete_expired(session, now - KEEP_SESSIONS),
        "sign_in_attempts": attempts.delete_old(session, now - KEEP_ATTEMPTS),
    }
