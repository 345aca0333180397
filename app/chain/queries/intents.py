"""SQL of chain_intents. Every change names the statuses it may start from: a row that moved on is left alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.chain.types.transactions import Intent, IntentStatus, Receipt
from app.core.errors import AppError

_COLUMNS = """id, chain_id, signer, action, subject, purpose, to_address, data, value_wei, gas_ceiling, fee_cap_wei,
  expires_at, job_id, status, nonce, reserved_block, gas_limit, max_cost_wei, cancel_reason, error, transaction_hash,
  block_number, block_hash, receipt_status, spent_wei, created_at, updated_at, finished_at"""

# The partial unique index on live subjects decides: a second planner waits for the first, then inserts nothing.
INSERT_PLANNED = text("""
INSERT INTO chain_intents (id, chain_id, signer, action, subject, purpose, to_address, data, value_wei,
  gas_ceiling, fee_cap_wei, expires_at, job_id, status, created_at, updated_at)
VALUES (:id, :chain_id, :signer, :action, :subject, :purpose, :to, :data, :value_wei,
  :gas_ceiling, :fee_cap_wei, :expires_at, :job_id, 'planned', :now, :now)
ON CONFLICT (chain_id, action, subject) WHERE finished_at IS NULL DO NOTHING
RETURNING id
""")

# A filler is born with the nonce it fills; two watchers that find one gap insert one filler.
INSERT_FILLER = text("""
INSERT INTO chain_intents (id, chain_id, signer, action, subject, purpose, to_address, data, value_wei, status,
  nonce, reserved_block, gas_limit, max_cost_wei, created_at, updated_at)
VALUES (:id, :chain_id, :signer, :action, :subject, :purpose, :signer, '', 0, 'reserved',
  :nonce, :block, 0, 0, :now, :now)
ON CONFLICT DO NOTHING
RETURNING id
""")

SELECT_LIVE_SUBJECT = text("""
SELECT id FROM chain_intents
WHERE chain_id = :chain_id AND action = :action AND subject = :subject AND finished_at IS NULL
""")

# Every subject that an action is under way for: what a planner need not plan again.
SELECT_LIVE_SUBJECTS = text("""
SELECT subject FROM chain_intents WHERE chain_id = :chain_id AND action = :action AND finished_at IS NULL
""")

SELECT_BY_IDS = text(f"SELECT {_COLUMNS} FROM chain_intents WHERE id = ANY(:ids) ORDER BY nonce NULLS LAST, id")  # noqa: S608 - our own column list

# The watcher's read: an index scan over what is live, lowest nonces first, for they are mined first.
SELECT_LIVE = text(f"""
SELECT {_COLUMNS} FROM chain_intents
WHERE chain_id = :chain_id AND signer = :signer AND finished_at IS NULL
ORDER BY nonce NULLS LAST, id LIMIT :limit
""")  # noqa: S608 - our own column list

SELECT_LIVE_NONCES = text("""
SELECT nonce FROM chain_intents
WHERE chain_id = :chain_id AND signer = :signer AND finished_at IS NULL AND nonce IS NOT NULL
""")

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


def insert_planned(session: Session, values: Mapping[str, Any]) -> UUID | None:
    """Insert an intent; None when one is live for its subject."""
    return session.execute(INSERT_PLANNED, values).scalar_one_or_none()


def insert_filler(session: Session, values: Mapping[str, Any]) -> UUID | None:
    """Insert a filler; None when its nonce has an owner by now."""
    return session.execute(INSERT_FILLER, values).scalar_one_or_none()


def find_live_subject(session: Session, chain_id: int, action: str, subject: str) -> UUID | None:
    """The live intent of a subject."""
    values = {"chain_id": chain_id, "action": action, "subject": subject}
    return session.execute(SELECT_LIVE_SUBJECT, values).scalar_one_or_none()


def list_live_subjects(session: Session, chain_id: int, action: str) -> list[str]:
    """The subjects of an action's live intents. O(live)."""
    return list(session.execute(SELECT_LIVE_SUBJECTS, {"chain_id": chain_id, "action": action}).scalars())


def list_by_ids(session: Session, ids: Sequence[UUID]) -> list[Intent]:
    """The intents that exist among `ids`, by nonce."""
    return [_intent(row) for row in session.execute(SELECT_BY_IDS, {"ids": list(ids)})]


def list_live(session: Session, chain_id: int, signer: bytes, limit: int) -> list[Intent]:
    """A signer's live intents, lowest nonces first."""
    rows = session.execute(SELECT_LIVE, {"chain_id": chain_id, "signer": signer, "limit": limit})
    return [_intent(row) for row in rows]


def live_nonces(session: Session, chain_id: int, signer: bytes) -> frozenset[int]:
    """The nonces that live intents own."""
    rows = session.execute(SELECT_LIVE_NONCES, {"chain_id": chain_id, "signer": signer})
    return frozenset(rows.scalars())


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


def _intent(row: Row[Any]) -> Intent:
    values = dict(row._mapping)
    for name in ("value_wei", "fee_cap_wei", "max_cost_wei", "spent_wei"):
        values[name] = None if values[name] is None else int(values[name])
    for name in ("signer", "data", "transaction_hash", "block_hash"):
        values[name] = None if values[name] is None else bytes(values[name])
    return Intent(to=bytes(values.pop("to_address")), **(values | {"status": IntentStatus(values["status"])}))
