"""SQL of chain_attempts. Attempts are looked at by nonce: whoever signed them, they compete for the same one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.chain.types.transactions import Attempt, AttemptOutcome, Effect, Fees

_COLUMNS = """intent_id, number, chain_id, signer, nonce, effect, hash, raw, gas_limit, max_fee_wei, tip_wei,
  created_at, first_broadcast_at, last_broadcast_at, outcome, refusal"""

SELECT_BY_NONCES = text(f"""
SELECT {_COLUMNS} FROM chain_attempts
WHERE chain_id = :chain_id AND signer = :signer AND nonce = ANY(:nonces)
ORDER BY nonce, created_at, number
""")  # noqa: S608 - our own column list

SELECT_BY_INTENT = text(f"SELECT {_COLUMNS} FROM chain_attempts WHERE intent_id = :id ORDER BY number")  # noqa: S608

SELECT_LAST_NUMBERS = text("""
SELECT intent_id, max(number) AS number FROM chain_attempts WHERE intent_id = ANY(:ids) GROUP BY intent_id
""")

SELECT_FIRST_BROADCASTS = text("""
SELECT intent_id, min(first_broadcast_at) AS at FROM chain_attempts
WHERE intent_id = ANY(:ids) AND first_broadcast_at IS NOT NULL GROUP BY intent_id
""")

# Two processes that sign the same replacement agree on its number: the second inserts nothing, and sends nothing.
INSERT = text("""
INSERT INTO chain_attempts (intent_id, number, chain_id, signer, nonce, effect, hash, raw, gas_limit, max_fee_wei,
  tip_wei, created_at, outcome)
VALUES (:intent_id, :number, :chain_id, :signer, :nonce, :effect, :hash, :raw, :gas_limit, :max_fee_wei,
  :tip_wei, :created_at, 'signed')
ON CONFLICT DO NOTHING
RETURNING number
""")

MARK_TRIED = text("""
UPDATE chain_attempts SET last_broadcast_at = :now, refusal = :refusal WHERE intent_id = :intent_id AND number = :number
""")

MARK_SENT = text("""
UPDATE chain_attempts SET last_broadcast_at = :now, first_broadcast_at = COALESCE(first_broadcast_at, :now),
  outcome = CASE outcome WHEN 'signed' THEN 'sent' ELSE outcome END, refusal = :refusal
WHERE intent_id = :intent_id AND number = :number
""")

UNMINE = text("""
UPDATE chain_attempts SET outcome = 'sent' WHERE intent_id = :intent_id AND outcome = 'mined'
""")

MARK_MINED = text("""
UPDATE chain_attempts SET outcome = 'mined' WHERE intent_id = :intent_id AND number = :number
""")

# Once one is final, the others of its nonce never can be.
MARK_BEATEN = text("""
UPDATE chain_attempts SET outcome = 'beaten'
WHERE chain_id = :chain_id AND signer = :signer AND nonce = :nonce AND outcome IN ('signed', 'sent')
""")

# A gap where an ended intent's transaction was: a reorg went below finality.
MARK_LOST = text("""
UPDATE chain_attempts SET outcome = 'lost'
WHERE chain_id = :chain_id AND signer = :signer AND nonce = ANY(:nonces) AND outcome = 'mined'
RETURNING intent_id
""")


def list_competing(session: Session, chain_id: int, signer: bytes, nonces: Iterable[int]) -> list[Attempt]:
    """Every attempt for any of `nonces`, by nonce, oldest first."""
    values = {"chain_id": chain_id, "signer": signer, "nonces": sorted(nonces)}
    return [_attempt(row) for row in session.execute(SELECT_BY_NONCES, values)]


def first_broadcasts(session: Session, ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """By intent, when its first attempt was handed to a node."""
    return {row.intent_id: row.at for row in session.execute(SELECT_FIRST_BROADCASTS, {"ids": list(ids)})}


def list_by_intent(session: Session, intent_id: UUID) -> list[Attempt]:
    """An intent's attempts, oldest first; after its nonce was used by another, they are of several nonces."""
    return [_attempt(row) for row in session.execute(SELECT_BY_INTENT, {"id": intent_id})]


def last_numbers(session: Session, intent_ids: Iterable[UUID]) -> dict[UUID, int]:
    """The highest attempt number of each intent that has one."""
    rows = session.execute(SELECT_LAST_NUMBERS, {"ids": list(intent_ids)})
    return {row.intent_id: row.number for row in rows}


def insert(session: Session, attempt: Attempt) -> bool:
    """Persist a signed transaction; False when this number was signed by somebody else meanwhile."""
    values = {
        "intent_id": attempt.intent_id,
        "number": attempt.number,
        "chain_id": attempt.chain_id,
        "signer": attempt.signer,
        "nonce": attempt.nonce,
        "effect": attempt.effect,
        "hash": attempt.hash,
        "raw": attempt.raw,
        "gas_limit": attempt.gas_limit,
        "max_fee_wei": attempt.fees.max_fee_wei,
        "tip_wei": attempt.fees.tip_wei,
        "created_at": attempt.created_at,
    }
    return session.execute(INSERT, values).scalar_one_or_none() is not None


def mark_tried(session: Session, attempt: Attempt, now: datetime, refusal: str) -> None:
    """A node has refused it."""
    session.execute(MARK_TRIED, _key(attempt) | {"now": now, "refusal": refusal})


def mark_sent(session: Session, attempt: Attempt, now: datetime, refusal: str | None = None) -> None:
    """A node has it, or says why it needs it no more."""
    session.execute(MARK_SENT, _key(attempt) | {"now": now, "refusal": refusal})


def mark_mined(session: Session, attempt: Attempt) -> None:
    """This one is in a block, and so no other of its intent is."""
    session.execute(UNMINE, {"intent_id": attempt.intent_id})
    session.execute(MARK_MINED, _key(attempt))


def unmine(session: Session, intent_id: UUID) -> None:
    """None of the intent's attempts is in a block any more."""
    session.execute(UNMINE, {"intent_id": intent_id})


def mark_beaten(session: Session, chain_id: int, signer: bytes, nonce: int) -> None:
    """The nonce is used, finally: the attempts that are not the mined one can no longer be mined."""
    session.execute(MARK_BEATEN, {"chain_id": chain_id, "signer": signer, "nonce": nonce})


def mark_lost(session: Session, chain_id: int, signer: bytes, nonces: Iterable[int]) -> list[UUID]:
    """The chain has dropped these final transactions; returns the intents they had ended."""
    values = {"chain_id": chain_id, "signer": signer, "nonces": sorted(nonces)}
    return list(session.execute(MARK_LOST, values).scalars())


def _key(attempt: Attempt) -> dict[str, Any]:
    return {"intent_id": attempt.intent_id, "number": attempt.number}


def _attempt(row: Row[Any]) -> Attempt:
    values = dict(row._mapping)
    tip = values.pop("tip_wei")
    fees = Fees(max_fee_wei=int(values.pop("max_fee_wei")), tip_wei=None if tip is None else int(tip))
    for name in ("signer", "hash", "raw"):
        values[name] = bytes(values[name])
    words = {"effect": Effect(values["effect"]), "outcome": AttemptOutcome(values["outcome"])}
    return Attempt(fees=fees, **(values | words))
