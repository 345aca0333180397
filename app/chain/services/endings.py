"""How an intent ends: the row, and the domain event beside it in the same transaction."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.chain.maths import fees
from app.chain.maths.readiness import Ready
from app.chain.queries import attempts, transitions
from app.chain.services.run import Run
from app.chain.types.sending import Receipt
from app.chain.types.transactions import Attempt, Effect, Intent, IntentStatus
from app.core import events
from app.core.errors import AppError

TOPIC = "transactions"


def end_unsent(run: Run, intent: Intent, status: IntentStatus, error: AppError | None = None) -> None:
    """End an intent that never had a nonce, or gave it back: nothing was spent."""
    if transitions.end_unsent(run.session, intent.id, status, run.now, error=error):
        emit_end(run.session, intent, status, error=error)


def end_rehearsed(run: Run, ready: Ready) -> None:
    """The send gate is closed: what would have been sent is recorded with its gas and its greatest cost."""
    changed = transitions.end_unsent(
        run.session,
        ready.intent.id,
        IntentStatus.REHEARSED,
        run.now,
        gas_limit=ready.gas_limit,
        max_cost_wei=ready.max_cost_wei,
    )
    if changed:
        emit_end(run.session, ready.intent, IntentStatus.REHEARSED)


def end_mined(run: Run, intent: Intent, attempt: Attempt, receipt: Receipt, status: IntentStatus) -> bool:
    """End an intent whose `attempt` is final; False when it has ended already."""
    carried = intent.value_wei if attempt.effect is Effect.CALL and receipt.status == 1 else 0
    price = attempt.fees.max_fee_wei if receipt.gas_price_wei is None else receipt.gas_price_wei
    spent = fees.spent_wei(receipt.gas_used, price, carried) + receipt.data_fee_wei
    if not transitions.end_mined(run.session, intent.id, receipt, status, spent, run.now):
        return False
    attempts.mark_beaten(run.session, intent.chain_id, intent.signer, attempt.nonce)
    emit_end(run.session, intent, status, receipt=receipt)
    return True


def emit_end(
    session: Session,
    intent: Intent,
    status: IntentStatus,
    *,
    receipt: Receipt | None = None,
    error: AppError | None = None,
) -> None:
    """Tell that an intent has ended."""
    payload = {
        "id": str(intent.id),
        "chain_id": intent.chain_id,
        "action": intent.action,
        "subject": intent.subject,
        "status": status,
        "transaction_hash": None if receipt is None else "0x" + receipt.transaction_hash.hex(),
        "block_number": None if receipt is None else receipt.block_number,
        "error": None if error is None else error.as_dict(),
    }
    events.emit(session, TOPIC, str(intent.id), payload)
