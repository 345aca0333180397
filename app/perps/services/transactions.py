"""Our transactions on their way: sent as far as they go, and looked at until they have ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.services.transactions import get_intent
from app.chain.types.transactions import TERMINAL, IntentStatus
from app.perps.errors import TransactionFailed
from app.perps.services.parts import PerpsParts

DONE = frozenset({IntentStatus.FINAL, IntentStatus.REHEARSED})


def send(session: Session, intent_id: UUID, *, parts: PerpsParts, commit: Callable[[], None]) -> None:
    """Take the intent as far as it goes now; the chain's watcher takes it further."""
    parts.get_sending(session).advance(session, [intent_id], commit)


def outcome(session: Session, intent_id: UUID) -> Mapping[str, Any] | None:
    """What became of the transaction, once nothing about it changes any more; None until then.

    That it is mined and did not revert: what it did is for its events to say. Raises TransactionFailed for one that
    reverted, failed or was cancelled.
    """
    intent = get_intent(session, intent_id)
    if intent.status not in TERMINAL:
        return None
    transaction = None if intent.transaction_hash is None else "0x" + intent.transaction_hash.hex()
    if intent.status not in DONE:
        detail = (intent.error or {}).get("detail") or intent.cancel_reason or "the contract reverted it"
        raise TransactionFailed(f"The transaction is {intent.status}: {detail}.", transaction_hash=transaction)
    return {
        "intent_id": str(intent.id),
        "status": str(intent.status),
        "transaction_hash": transaction,
        "block_number": intent.block_number,
    }
