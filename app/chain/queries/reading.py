"""Statements for readers of the indexer's state. Pages are read by key: O(limit)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.types.reading import Progress, RaisedAlarm

PROGRESS = """
    SELECT chain_id, name, start_block, next_block, tip_at, head_block, final_block, rewinds, checked_at, halted_at,
           halted_reason, NOT EXISTS (SELECT FROM chain_backfills b
                                      WHERE b.chain_id = c.chain_id AND b.contract_set = c.name) AS history_complete
    FROM chain_cursors c
"""

ONE = text(f"{PROGRESS} WHERE chain_id = :chain_id AND name = :name")

# Ranges that are read beside a set (`set@first-last`) tell of themselves in their jobs.
SETS = text(
    f"""{PROGRESS}
    WHERE (chain_id, name) > (:chain_id, :name) AND strpos(name, '@') = 0
    ORDER BY chain_id, name LIMIT :limit
    """
)

# The headers are bounded, so this reads few, however long ago it was.
FINAL_AFTER = text(
    """
    SELECT h.number, h.hash FROM chain_cursors c
    CROSS JOIN LATERAL (
        SELECT number, hash FROM chain_headers
        WHERE chain_id = c.chain_id AND mined_at > :at AND number < c.next_block AND number <= c.final_block
        ORDER BY number
        LIMIT 1
    ) h
    WHERE c.chain_id = :chain_id AND c.name = :name
    """
)

ALARM = """
    SELECT id, chain_id, contract_set, kind, subject, detail, count, first_at, last_at, resolved_at
    FROM chain_alarms
"""

ONE_ALARM = text(f"{ALARM} WHERE id = :id")

ALARMS = text(
    f"""{ALARM}
    WHERE (CAST(:before AS uuid) IS NULL OR id < :before) AND (NOT :open OR resolved_at IS NULL)
    ORDER BY id DESC LIMIT :limit
    """
)


def find_progress(session: Session, chain_id: int, name: str) -> Progress | None:
    """How far the set is, or None when nothing of it was ever read."""
    row = session.execute(ONE, {"chain_id": chain_id, "name": name}).one_or_none()
    return None if row is None else Progress(*row)


def find_final_after(session: Session, chain_id: int, name: str, at: datetime) -> tuple[int, bytes] | None:
    """Number and hash of the first kept block after `at` that the set has indexed and that is final."""
    row = session.execute(FINAL_AFTER, {"chain_id": chain_id, "name": name, "at": at}).one_or_none()
    return None if row is None else (row.number, bytes(row.hash))


def list_progress(session: Session, *, after: tuple[int, str] | None, limit: int) -> Sequence[Progress]:
    """Every set, by chain and name."""
    chain_id, name = after or (0, "")
    rows = session.execute(SETS, {"chain_id": chain_id, "name": name, "limit": limit})
    return [Progress(*row) for row in rows]


def find_alarm(session: Session, alarm_id: UUID) -> RaisedAlarm | None:
    """One alarm, open or not."""
    row = session.execute(ONE_ALARM, {"id": alarm_id}).one_or_none()
    return None if row is None else RaisedAlarm(*row)


def list_alarms(session: Session, *, before: UUID | None, only_open: bool, limit: int) -> Sequence[RaisedAlarm]:
    """Alarms, newest first."""
    rows = session.execute(ALARMS, {"before": before, "open": only_open, "limit": limit})
    return [RaisedAlarm(*row) for row in rows]
