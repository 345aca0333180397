"""Statements on range sizes: what was learned of a provider's limits for a contract set."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.types.indexing import Cursor, RangeSize

FIND = text(
    """
    SELECT blocks, ceiling, successes FROM chain_range_sizes
    WHERE chain_id = :chain_id AND provider = :provider AND contract_set = :contract_set
    """
)

KEEP = text(
    """
    INSERT INTO chain_range_sizes (chain_id, provider, contract_set, blocks, ceiling, successes)
    VALUES (:chain_id, :provider, :contract_set, :blocks, :ceiling, :successes)
    ON CONFLICT (chain_id, provider, contract_set)
    DO UPDATE SET blocks = excluded.blocks, ceiling = excluded.ceiling, successes = excluded.successes
    """
)


def find_size(session: Session, cursor: Cursor, provider: str) -> RangeSize | None:
    """What is known of this provider for the cursor's contract set, or None."""
    row = session.execute(FIND, _key(cursor, provider)).one_or_none()
    return None if row is None else RangeSize(*row)


def keep_size(session: Session, cursor: Cursor, provider: str, size: RangeSize) -> None:
    """Remember what an answer or a refusal taught."""
    values = {"blocks": size.blocks, "ceiling": size.ceiling, "successes": size.successes}
    session.execute(KEEP, _key(cursor, provider) | values)


def _key(cursor: Cursor, provider: str) -> dict[str, object]:
    return {"chain_id": cursor.chain_id, "provider": provider, "contract_set": cursor.name}
