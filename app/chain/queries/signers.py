"""SQL of chain_signers. Lock order everywhere: the signer's row first, then intents."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Row, TextClause, text
from sqlalchemy.orm import Session

from app.chain.types.reading import SignerRow
from app.chain.types.sending import Ledger, SignerState

LEDGER_WINDOW = timedelta(hours=1)

INSERT = text("""
INSERT INTO chain_signers (chain_id, address, next_nonce, seen_block, created_at)
VALUES (:chain_id, :address, :next_nonce, 0, :now)
ON CONFLICT DO NOTHING
""")

_SELECT = """
SELECT chain_id, address, next_nonce, seen_block, halt_reason, breaker_reason, breaker_reset_at FROM chain_signers
WHERE chain_id = :chain_id AND address = :address
"""
SELECT = text(_SELECT)
LOCK = text(_SELECT + " FOR UPDATE")

# What ended since a moment, and what is open. Plain values, no join: with them the planner sees how few rows of the
# index on (chain_id, signer, finished_at) that is, however long the table has become.
SELECT_LEDGER = text("""
SELECT ended.spent_wei, ended.mined, ended.reverted, live.committed_wei
FROM (
  SELECT COALESCE(SUM(spent_wei), 0) AS spent_wei, count(*) AS mined,
    count(*) FILTER (WHERE status = 'reverted') AS reverted
  FROM chain_intents
  WHERE chain_id = :chain_id AND signer = :address AND spent_wei IS NOT NULL AND finished_at > :since
) ended,
(
  SELECT COALESCE(SUM(max_cost_wei), 0) AS committed_wei FROM chain_intents
  WHERE chain_id = :chain_id AND signer = :address AND finished_at IS NULL AND nonce IS NOT NULL
) live
""")

SET_NEXT_NONCE = text("""
UPDATE chain_signers SET next_nonce = :next_nonce WHERE chain_id = :chain_id AND address = :address
""")

SEE_BLOCK = text("""
UPDATE chain_signers SET seen_block = GREATEST(seen_block, :block) WHERE chain_id = :chain_id AND address = :address
""")

HALT = text("""
UPDATE chain_signers SET halted_at = :now, halt_reason = :reason
WHERE chain_id = :chain_id AND address = :address AND halted_at IS NULL
""")

RESUME = text("""
UPDATE chain_signers SET halted_at = NULL, halt_reason = NULL, next_nonce = GREATEST(next_nonce, :observed_nonce)
WHERE chain_id = :chain_id AND address = :address AND halted_at IS NOT NULL
""")

OPEN_BREAKER = text("""
UPDATE chain_signers SET breaker_opened_at = :now, breaker_reason = :reason
WHERE chain_id = :chain_id AND address = :address AND breaker_opened_at IS NULL
""")

RESET_BREAKER = text("""
UPDATE chain_signers SET breaker_opened_at = NULL, breaker_reason = NULL, breaker_reset_at = :now
WHERE chain_id = :chain_id AND address = :address AND breaker_opened_at IS NOT NULL
""")

# Plain values out of small indexes: live intents are few, and the ledger is asked for signer by signer.
SELECT_ALL = text("""
SELECT s.chain_id, s.address, s.next_nonce, s.seen_block, s.halted_at, s.halt_reason, s.breaker_opened_at,
  s.breaker_reason, s.breaker_reset_at, s.created_at, live.transactions, live.oldest_at
FROM chain_signers s, LATERAL (
  SELECT count(*) AS transactions, min(created_at) AS oldest_at FROM chain_intents i
  WHERE i.chain_id = s.chain_id AND i.signer = s.address AND i.finished_at IS NULL
) live
ORDER BY s.created_at, s.address
""")


def find(session: Session, chain_id: int, address: bytes) -> SignerState | None:
    """The signer's row, or None before its first transaction."""
    row = session.execute(SELECT, _key(chain_id, address)).one_or_none()
    return None if row is None else _state(row)


def lock_or_create(session: Session, chain_id: int, address: bytes, next_nonce: int, now: datetime) -> SignerState:
    """Like `lock`; makes the row with `next_nonce` when the signer sends for the first time."""
    session.execute(INSERT, _key(chain_id, address) | {"next_nonce": next_nonce, "now": now})
    return _state(session.execute(LOCK, _key(chain_id, address)).one())


def lock(session: Session, chain_id: int, address: bytes) -> SignerState:
    """The row of a signer that has sent before, locked to the end of the transaction. Nonces are handed out, and
    transactions signed for, under this lock only."""
    return _state(session.execute(LOCK, _key(chain_id, address)).one())


def ledger(session: Session, state: SignerState | SignerRow, now: datetime) -> Ledger:
    """Spent, mined and reverted within the hour, or since the breaker's last reset, and what live intents may still
    take. O(intents of the hour + live intents)."""
    since = now - LEDGER_WINDOW
    if state.breaker_reset_at is not None:
        since = max(since, state.breaker_reset_at)
    row = session.execute(SELECT_LEDGER, _key(state.chain_id, state.address) | {"since": since}).one()
    return Ledger(
        spent_wei=int(row.spent_wei), committed_wei=int(row.committed_wei), mined=row.mined, reverted=row.reverted
    )


def set_next_nonce(session: Session, state: SignerState, next_nonce: int) -> None:
    """After handing nonces out, under the lock."""
    session.execute(SET_NEXT_NONCE, _key(state.chain_id, state.address) | {"next_nonce": next_nonce})


def see_block(session: Session, state: SignerState, block: int) -> None:
    """Remember the highest head seen: a node below it is behind, and what it lacks proves nothing."""
    session.execute(SEE_BLOCK, _key(state.chain_id, state.address) | {"block": block})


def halt(session: Session, chain_id: int, address: bytes, reason: str, now: datetime) -> None:
    """Nothing more is signed or sent by this signer until an operator resumes it."""
    session.execute(HALT, _key(chain_id, address) | {"reason": reason, "now": now})


def resume(session: Session, chain_id: int, address: bytes, observed_nonce: int) -> bool:
    """Lift the halt, and pass over the nonces that another owner of the key has used; False when it is not halted,
    where passing over nonces would hide such an owner."""
    return _changed(session, RESUME, _key(chain_id, address) | {"observed_nonce": observed_nonce})


def open_breaker(session: Session, chain_id: int, address: bytes, reason: str, now: datetime) -> None:
    """No new nonces until an operator resets it; what is live goes on."""
    session.execute(OPEN_BREAKER, _key(chain_id, address) | {"reason": reason, "now": now})


def reset_breaker(session: Session, chain_id: int, address: bytes, now: datetime) -> bool:
    """Close the breaker, and count afresh from now; False when it is not open."""
    return _changed(session, RESET_BREAKER, _key(chain_id, address) | {"now": now})


def list_all(session: Session) -> list[SignerRow]:
    """Every signer that ever sent, the oldest first, with what it has under way."""
    return [SignerRow(**(dict(row._mapping) | {"address": bytes(row.address)})) for row in session.execute(SELECT_ALL)]


def _changed(session: Session, statement: TextClause, values: dict[str, object]) -> bool:
    return session.connection().execute(statement, values).rowcount == 1


def _key(chain_id: int, address: bytes) -> dict[str, object]:
    return {"chain_id": chain_id, "address": address}


def _state(row: Row[tuple[object, ...]]) -> SignerState:
    return SignerState(**(dict(row._mapping) | {"address": bytes(row.address)}))
