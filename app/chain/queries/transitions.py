"""SQL of an intent's way. Every change names the statuses it may start from: a row that moved on is left alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.types.sending import Receipt
from app.chain.types.transactions import IntentStatus
from app.core.errors import AppError

LOCK_PLANNED = text("""
SELECT id FROM chain_intents WHERE id = ANY(:ids) AND status = 'planned' ORDER BY id FOR UPDATE
""")

RESERVE = text("""
UPDATE chain_intents SET status = 'reserved', nonce = :nonce, reserved_block = :block, gas_limit = :gas_limit,
  max_cost_wei = :max_cost_wei, error = NULL, updated_at = :now
WHERE id = :id AND status = 'planned'
""")

# A reserved intent is signed for the first time; a sent one stays what it is and is replaced.
SIGN = text("""
UPDATE chain_intents SET status = CASE status WHEN 'reserved' THEN 'signed' ELSE status END, gas_limit = :gas_limit,
  max_cost_wei = GREATEST(max_cost_wei, :max_cost_wei), error = NULL, updated_at = :now
WHERE id = :id AND nonce = :nonce AND status IN ('reserved', 'signed', 'broadcast')
""")

BROADCAST = text("""
UPDATE chain_intents SET status = 'broadcast', error = NULL, updated_at = :now WHERE id = :id AND status = 'signed'
""")

MINE = text("""
UPDATE chain_intents SET status = 'mined', transaction_hash = :hash, block_number = :block_number,
  block_hash = :block_hash, receipt_status = :receipt_status, error = NULL, updated_at = :now
WHERE id = :id AND status IN ('signed', 'broadcast', 'mined')
""")

REOPEN = text("""
UPDATE chain_intents SET status = 'broadcast', transaction_hash = NULL, block_number = NULL, block_hash = NULL,
  receipt_status = NULL, updated_at = :now
WHERE id = :id AND status = 'mined'
""")

END_MINED = text("""
UPDATE chain_intents SET status = :status, spent_wei = :spent_wei, finished_at = :now, updated_at = :now
WHERE id = :id AND status = 'mined' AND transaction_hash = :hash
""")

END_UNSENT = text("""
UPDATE chain_intents SET status = :status, error = CAST(:error AS jsonb), gas_limit = :gas_limit,
  max_cost_wei = :max_cost_wei, finished_at = :now, updated_at = :now
WHERE id = :id AND status = 'planned'
""")

# Only after another, final transaction has used the nonce. Who is no longer wanted ends; the others begin again.
GIVE_UP_NONCE = text("""
UPDATE chain_intents SET status = CASE WHEN :ends THEN 'cancelled' ELSE 'planned' END, nonce = NULL,
  error = CAST(:error AS jsonb), finished_at = CASE WHEN :ends THEN CAST(:now AS timestamptz) END, updated_at = :now
WHERE id = :id AND nonce = :nonce AND status IN ('reserved', 'signed', 'broadcast')
""")

# `updated_at` is left alone: it says when the intent last moved, and a hold is not a move.
HOLD = text("""
UPDATE chain_intents SET error = CAST(:error AS jsonb) WHERE id = :id AND finished_at IS NULL
""")

ASK_CANCEL = text("""
UPDATE chain_intents SET cancel_reason = :reason
WHERE id = :id AND status IN ('reserved', 'signed', 'broadcast') AND cancel_reason IS NULL
""")


def lock_planned(session: Session, ids: Sequence[UUID]) -> frozenset[UUID]:
    """Lock those of `ids` that are still planned; take the signer's lock first."""
    return frozenset(session.execute(LOCK_PLANNED, {"ids": list(ids)}).scalars())


def reserve(
    session: Session, intent_id: UUID, *, nonce: int, block: int, gas_limit: int, max_cost_wei: int, now: datetime
) -> None:
    """Give a locked, planned intent its nonce."""
    values = {"id": intent_id, "nonce": nonce, "block": block, "gas_limit": gas_limit, "max_cost_wei": max_cost_wei}
    session.execute(RESERVE, values | {"now": now})


def sign(session: Session, intent_id: UUID, *, nonce: int, gas_limit: int, max_cost_wei: int, now: datetime) -> bool:
    """Record that a new attempt is signed; False when the intent has moved on, and the attempt must not be kept."""
    values = {"id": intent_id, "nonce": nonce, "gas_limit": gas_limit, "max_cost_wei": max_cost_wei, "now": now}
    return _changed(session, SIGN, values)


def mark_broadcast(session: Session, intent_id: UUID, now: datetime) -> None:
    """A node has taken the transaction, or had it already."""
    session.execute(BROADCAST, {"id": intent_id, "now": now})


def mine(session: Session, intent_id: UUID, receipt: Receipt, now: datetime) -> bool:
    """Record the receipt; False when the intent has ended meanwhile."""
    values = {"id": intent_id, "hash": receipt.transaction_hash, "block_number": receipt.block_number, "now": now}
    return _changed(session, MINE, values | {"block_hash": receipt.block_hash, "receipt_status": receipt.status})


def reopen(session: Session, intent_id: UUID, now: datetime) -> bool:
    """Its block is gone: it waits again."""
    return _changed(session, REOPEN, {"id": intent_id, "now": now})


def end_mined(
    session: Session, intent_id: UUID, receipt: Receipt, status: IntentStatus, spent_wei: int, now: datetime
) -> bool:
    """End a mined intent; False when another watcher has done it."""
    values = {"id": intent_id, "status": status, "hash": receipt.transaction_hash, "spent_wei": spent_wei, "now": now}
    return _changed(session, END_MINED, values)


def end_unsent(
    session: Session,
    intent_id: UUID,
    status: IntentStatus,
    now: datetime,
    *,
    error: AppError | None = None,
    gas_limit: int | None = None,
    max_cost_wei: int | None = None,
) -> bool:
    """End an intent that has no nonce; False when it has one by now."""
    values = {"id": intent_id, "status": status, "error": _json(error), "now": now}
    return _changed(session, END_UNSENT, values | {"gas_limit": gas_limit, "max_cost_wei": max_cost_wei})


def give_up_nonce(session: Session, intent_id: UUID, nonce: int, *, ends: bool, error: AppError, now: datetime) -> bool:
    """Take the nonce back from an intent after another, final transaction has used it."""
    values = {"id": intent_id, "nonce": nonce, "ends": ends, "error": _json(error), "now": now}
    return _changed(session, GIVE_UP_NONCE, values)


def hold(session: Session, intent_id: UUID, error: AppError) -> None:
    """Say why a live intent does not move."""
    session.execute(HOLD, {"id": intent_id, "error": _json(error)})


def ask_cancel(session: Session, intent_id: UUID, reason: str) -> bool:
    """Let the next attempt be a transfer of nothing to ourselves; False when the intent is mined, ended or asked."""
    return _changed(session, ASK_CANCEL, {"id": intent_id, "reason": reason})


def _changed(session: Session, statement: Any, values: Mapping[str, Any]) -> bool:
    return session.connection().execute(statement, values).rowcount == 1


def _json(error: AppError | None) -> str | None:
    return None if error is None else json.dumps(error.as_dict())
