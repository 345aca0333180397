"""Transactions as other features see them: plan one, look at it, cancel it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.errors import TransactionEnded, TransactionMined, TransactionNotFound
from app.chain.queries import attempts, intents, transitions
from app.chain.services.endings import emit_end
from app.chain.types.transactions import TERMINAL, Attempt, Intent, IntentFilter, IntentStatus
from app.core.db import new_id
from app.core.errors import InvalidInput
from app.core.failpoints import failpoint
from app.core.paging import Page, decode_cursor, page_of

CANCELLED_BY_CALLER = "cancelled"
LISTING = "transactions"


def plan_transaction(
    session: Session,
    *,
    chain_id: int,
    signer: bytes,
    action: str,
    subject: str,
    to: bytes,
    data: bytes,
    now: datetime,
    purpose: str,
    value_wei: int = 0,
    gas_ceiling: int | None = None,
    fee_cap_wei: int | None = None,
    expires_at: datetime | None = None,
    job_id: UUID | None = None,
) -> UUID:
    """Record that `signer` shall call `to`; returns the intent, or the one that is live for (chain, action, subject).

    Commits with the caller; nothing is sent before `advance` or the watcher comes by. Where the live one's call or
    value differ, the live one still stands: what it is about to do is its subject's business, and doing it twice is
    what this table is for. `gas_ceiling`: refuse above so much gas. `fee_cap_wei`: pay no more a unit of gas.
    After `expires_at` it is no longer sent, and cancelled if it waits in a pool.
    """
    if value_wei < 0 or len(to) != 20 or len(signer) != 20:
        raise InvalidInput("addresses are 20 bytes, and a value is not negative")
    values = {
        "chain_id": chain_id,
        "signer": signer,
        "action": action,
        "subject": subject,
        "purpose": purpose,
        "to": to,
        "data": data,
        "value_wei": value_wei,
        "gas_ceiling": gas_ceiling,
        "fee_cap_wei": fee_cap_wei,
        "expires_at": expires_at,
        "job_id": job_id,
        "now": now,
    }
    failpoint("sender.intent.before")
    while True:
        intent_id = intents.insert_planned(session, values | {"id": new_id()})
        intent_id = intent_id or intents.find_live_subject(session, chain_id, action, subject)
        # Neither: the live one ended between the two statements, and the subject is free.
        if intent_id is not None:
            return intent_id


def find_intent(session: Session, intent_id: UUID) -> Intent | None:
    """The intent as it is now."""
    found = intents.list_by_ids(session, [intent_id])
    return found[0] if found else None


def get_intent(session: Session, intent_id: UUID) -> Intent:
    """The intent as it is now; raises TransactionNotFound."""
    intent = find_intent(session, intent_id)
    if intent is None:
        raise TransactionNotFound()
    return intent


def list_live_subjects(session: Session, chain_id: int, action: str) -> list[str]:
    """The subjects for which `action` is under way: planning it again would give the live intent."""
    return intents.list_live_subjects(session, chain_id, action)


def list_intents(session: Session, intent_ids: Sequence[UUID]) -> list[Intent]:
    """Those of the intents that exist, as they are now."""
    return intents.list_by_ids(session, intent_ids)


def list_first_broadcasts(session: Session, intent_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """By intent, when its first transaction was handed to a node; one that never was is left out."""
    return attempts.first_broadcasts(session, intent_ids)


def list_transactions(session: Session, wanted: IntentFilter, *, cursor: str | None, limit: int) -> Page[Intent]:
    """A page of intents, newest first; raises InvalidInput for a bad cursor."""
    key = decode_cursor(LISTING, (UUID,), cursor)
    rows = intents.list_page(session, wanted, before=None if key is None else key[0], limit=limit + 1)
    return page_of(rows, limit=limit, listing=LISTING, key=lambda intent: (intent.id,))


def list_attempts(session: Session, intent_id: UUID) -> list[Attempt]:
    """Every transaction that was signed for the intent, oldest first."""
    return attempts.list_by_intent(session, intent_id)


def cancel_transaction(session: Session, intent_id: UUID, *, now: datetime) -> Intent:
    """Ask that the intent be not carried out; returns it as it is then. Asking again changes nothing.

    Without a nonce it ends at once; with one, the watcher puts a transfer of nothing in its place, and whichever of the
    two is mined decides. Raises TransactionNotFound, TransactionEnded, or TransactionMined where it is too late.
    """
    intent = get_intent(session, intent_id)
    if intent.status in TERMINAL:
        raise TransactionEnded(f"The transaction is {intent.status} already.")
    if transitions.end_unsent(session, intent_id, IntentStatus.CANCELLED, now):
        emit_end(session, intent, IntentStatus.CANCELLED)
    elif not transitions.ask_cancel(session, intent_id, CANCELLED_BY_CALLER):
        _refuse_what_came_too_late(get_intent(session, intent_id))
    return get_intent(session, intent_id)


def _refuse_what_came_too_late(intent: Intent) -> None:
    if intent.status in TERMINAL:
        raise TransactionEnded(f"The transaction is {intent.status} already.")
    if intent.status is IntentStatus.MINED:
        raise TransactionMined()
