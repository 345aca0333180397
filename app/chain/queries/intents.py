"""SQL of chain_intents: planning and reading. What changes a status is in `transitions`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.chain.types.transactions import Intent, IntentFilter, IntentStatus

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

# A filler is born with the nonce it fills, and cancelled: two watchers that find one gap insert one filler.
INSERT_FILLER = text("""
INSERT INTO chain_intents (id, chain_id, signer, action, subject, purpose, to_address, data, value_wei, status,
  cancel_reason, nonce, reserved_block, gas_limit, max_cost_wei, created_at, updated_at)
VALUES (:id, :chain_id, :signer, :action, :subject, :purpose, :signer, '', 0, 'reserved',
  :purpose, :nonce, :block, 0, 0, :now, :now)
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


def list_page(session: Session, wanted: IntentFilter, *, before: UUID | None, limit: int) -> list[Intent]:
    """The newest `limit` intents older than `before`. Each filter but the signer has an index by it and the id."""
    values = {name: value for name, value in asdict(wanted).items() if value is not None}
    chosen = [f"{name} = :{name}" for name in values] + (["id < :before"] if before is not None else [])
    where = f"WHERE {' AND '.join(chosen)}" if chosen else ""
    statement = f"SELECT {_COLUMNS} FROM chain_intents {where} ORDER BY id DESC LIMIT :limit"  # noqa: S608 - our own names
    return [_intent(row) for row in session.execute(text(statement), values | {"before": before, "limit": limit})]


def live_nonces(session: Session, chain_id: int, signer: bytes) -> frozenset[int]:
    """The nonces that live intents own."""
    rows = session.execute(SELECT_LIVE_NONCES, {"chain_id": chain_id, "signer": signer})
    return frozenset(rows.scalars())


def _intent(row: Row[Any]) -> Intent:
    values = dict(row._mapping)
    for name in ("value_wei", "fee_cap_wei", "max_cost_wei", "spent_wei"):
        values[name] = None if values[name] is None else int(values[name])
    for name in ("signer", "data", "transaction_hash", "block_hash"):
        values[name] = None if values[name] is None else bytes(values[name])
    return Intent(to=bytes(values.pop("to_address")), **(values | {"status": IntentStatus(values["status"])}))
