"""Statements on accounts_sign_in_attempts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

FREE_ATTEMPTS = 5
LONGEST_LOCK_SECONDS = 900

# Counts an attempt before its password is looked at, so that guesses made at the same moment all count: the row's lock
# makes them wait for each other. No row back: the login is locked. Failures are forgotten an hour after the last one.
# The fifth locks the login for a second, and each one after it for twice as long, up to :longest.
RESERVE = text(
    """
    INSERT INTO accounts_sign_in_attempts AS a (login_sha256, failures, locked_until, updated_at)
    VALUES (:login, 1, '-infinity', :now)
    ON CONFLICT (login_sha256) DO UPDATE
    SET (failures, locked_until, updated_at) = (
        SELECT n,
               CASE WHEN n < :free THEN CAST('-infinity' AS timestamptz)
                    ELSE CAST(:now AS timestamptz) + make_interval(secs => least(:longest, 2 ^ least(n - :free, 30)))
               END,
               CAST(:now AS timestamptz)
        FROM (SELECT CASE WHEN a.updated_at < CAST(:now AS timestamptz) - interval '1 hour' THEN 1
                          ELSE a.failures + 1 END AS n) AS counted)
    WHERE a.locked_until <= :now
    RETURNING failures
    """
)
LOCKED_UNTIL = text("SELECT locked_until FROM accounts_sign_in_attempts WHERE login_sha256 = :login")
CLEAR = text("DELETE FROM accounts_sign_in_attempts WHERE login_sha256 = :login")
DELETE_OLD = text("DELETE FROM accounts_sign_in_attempts WHERE updated_at < :before")


def reserve(session: Session, login_sha256: bytes, now: datetime) -> bool:
    """Count an attempt; False when the login is locked."""
    values = {"login": login_sha256, "now": now, "free": FREE_ATTEMPTS, "longest": LONGEST_LOCK_SECONDS}
    return session.execute(RESERVE, values).first() is not None


def locked_until(session: Session, login_sha256: bytes) -> datetime:
    """When the lock of a login that has one ends."""
    moment: datetime = session.execute(LOCKED_UNTIL, {"login": login_sha256}).scalar_one()
    return moment


def clear(session: Session, login_sha256: bytes) -> None:
    """Forget the failures: the password was right."""
    session.execute(CLEAR, {"login": login_sha256})


def delete_old(session: Session, before: datetime) -> int:
    """Forget what nobody tried since that moment; how many."""
    return int(session.execute(DELETE_OLD, {"before": before}).rowcount)  # type: ignore[attr-defined]
