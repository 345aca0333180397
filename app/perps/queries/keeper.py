"""Statements on what the keeper has seen to, and what it waits for."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

# A failure of the same kind counts on, another kind begins anew.
FAIL = text(
    """
    INSERT INTO perps_keeper_backoffs (protocol, action, key, failures, reason, detail, until, failed_at)
    VALUES (:protocol, :action, :key, :failures, :reason, :detail, :until, :now)
    ON CONFLICT (protocol, action, key) DO UPDATE
    SET failures = excluded.failures, reason = excluded.reason, detail = excluded.detail, until = excluded.until,
        failed_at = excluded.failed_at
    """
)

OF = "protocol = :protocol AND action = :action AND key = ANY(:keys)"

FAILURES = text(f"SELECT key, failures, reason FROM perps_keeper_backoffs WHERE {OF}")  # noqa: S608 - our own words

CLEAR = text(f"DELETE FROM perps_keeper_backoffs WHERE {OF}")  # noqa: S608 - our own words

# Of positions and orders that have ended since.
SWEEP = text(
    """
    DELETE FROM perps_keeper_backoffs k
    WHERE k.protocol = :protocol AND (
        k.action = 'liquidate' AND EXISTS (
            SELECT FROM perps_positions p WHERE p.protocol = k.protocol AND p.key = k.key AND p.status <> 'open')
        OR k.action = 'execute_order' AND EXISTS (
            SELECT FROM perps_orders o WHERE o.protocol = k.protocol AND o.key = k.key AND o.status <> 'open'))
    """
)

RECORD_SLOT = text(
    """
    INSERT INTO perps_funding_slots (protocol, market_id, slot_at, intent_id, recorded_at)
    VALUES (:protocol, :market_id, :slot_at, :intent_id, :now)
    ON CONFLICT DO NOTHING
    """
)

SLOT = "protocol = :protocol AND market_id = :market_id AND slot_at = :slot_at"

FIND_SLOT = text(f"SELECT intent_id FROM perps_funding_slots WHERE {SLOT}")  # noqa: S608 - our own words

FORGET_SLOT = text(f"DELETE FROM perps_funding_slots WHERE {SLOT}")  # noqa: S608 - our own words


def failures_of(session: Session, protocol: str, action: str, keys: Collection[str]) -> dict[str, tuple[str, int]]:
    """By position or order, why the action failed last and how often in a row."""
    rows = session.execute(FAILURES, {"protocol": protocol, "action": action, "keys": list(keys)})
    return {row.key: (row.reason, row.failures) for row in rows}


def back_off(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Record failures; `rows` by the statement's names."""
    if rows:
        session.execute(FAIL, rows)


def clear(session: Session, protocol: str, action: str, keys: Collection[str]) -> None:
    """Forget the action's failures of these positions or orders."""
    if keys:
        session.execute(CLEAR, {"protocol": protocol, "action": action, "keys": list(keys)})


def sweep(session: Session, protocol: str) -> None:
    """Forget the failures of positions and orders that have ended. O(backoffs), which are few."""
    session.execute(SWEEP, {"protocol": protocol})


def record_slot(
    session: Session, protocol: str, market_id: str, slot_at: datetime, *, intent_id: UUID | None, now: datetime
) -> None:
    """Note that the market's slot has been seen to; the first note stays."""
    values = {"protocol": protocol, "market_id": market_id, "slot_at": slot_at, "intent_id": intent_id, "now": now}
    session.execute(RECORD_SLOT, values)


def find_slot(session: Session, protocol: str, market_id: str, slot_at: datetime) -> tuple[bool, UUID | None]:
    """Whether the market's slot has been seen to, and by which intent: None where it needed none."""
    row = session.execute(FIND_SLOT, {"protocol": protocol, "market_id": market_id, "slot_at": slot_at}).one_or_none()
    return row is not None, None if row is None else row.intent_id


def forget_slot(session: Session, protocol: str, market_id: str, slot_at: datetime) -> None:
    """Take back that the market's slot has been seen to."""
    session.execute(FORGET_SLOT, {"protocol": protocol, "market_id": market_id, "slot_at": slot_at})
