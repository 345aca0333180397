"""Statements on how providers stand. Times are the database's: several workers share them."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.types.providers import Standing

ALL = text(
    """
    SELECT provider, failures, coalesce(retry_at > now(), false) AS avoided
    FROM chain_providers WHERE chain_id = :chain_id AND (failures > 0 OR retry_at > now())
    """
)

FAILED = text(
    """
    INSERT INTO chain_providers AS p (chain_id, provider, failures, reason)
    VALUES (:chain_id, :provider, 1, :reason)
    ON CONFLICT (chain_id, provider) DO UPDATE SET failures = p.failures + 1, reason = excluded.reason
    RETURNING failures, coalesce(retry_at > now(), false) AS avoided
    """
)

# Each opening within a day of the last one doubles the wait, up to a day; what happens while others are preferred
# anyway only makes the same wait begin again.
OPEN = text(
    """
    UPDATE chain_providers
    SET openings = recent.openings + 1, opened_at = now(), reason = :reason,
        retry_at = greatest(
            retry_at, now() + least(86400, :seconds * 2 ^ least(recent.openings, 20)) * interval '1 second'
        )
    FROM (SELECT CASE WHEN retry_at > now() THEN openings - 1
                      WHEN opened_at > now() - interval '1 day' THEN openings
                      ELSE 0 END AS openings
          FROM chain_providers WHERE chain_id = :chain_id AND provider = :provider) AS recent
    WHERE chain_id = :chain_id AND provider = :provider
    """
)

# A probe that succeeds: only once the wait is over, for an answer proves nothing about a lie.
ANSWERED = text(
    """
    UPDATE chain_providers SET failures = 0, reason = NULL, retry_at = NULL
    WHERE chain_id = :chain_id AND provider = :provider AND failures > 0 AND (retry_at IS NULL OR retry_at <= now())
    RETURNING 1
    """
)


def list_standings(session: Session, chain_id: int) -> list[Standing]:
    """The providers of the chain that are not in good standing."""
    return [Standing(*row) for row in session.execute(ALL, {"chain_id": chain_id})]


def failed(session: Session, chain_id: int, provider: str, reason: str) -> tuple[int, bool]:
    """Count a failure; returns how many there were in a row, and whether the provider is avoided already."""
    values = {"chain_id": chain_id, "provider": provider, "reason": reason}
    row = session.execute(FAILED, values).one()
    return row.failures, row.avoided


def avoid(session: Session, chain_id: int, provider: str, *, seconds: float, reason: str) -> None:
    """Prefer others for `seconds`, or longer when this was needed before; the provider has a row already."""
    values = {"chain_id": chain_id, "provider": provider, "seconds": seconds, "reason": reason}
    session.execute(OPEN, values)


def answered(session: Session, chain_id: int, provider: str) -> bool:
    """The provider's failures are over, unless it is still avoided; returns whether they are."""
    return bool(session.execute(ANSWERED, {"chain_id": chain_id, "provider": provider}).scalars().all())
