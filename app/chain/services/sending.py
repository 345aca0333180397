"""Fourth step, and the one send gate: hand persisted bytes to the node. Nothing else in the project broadcasts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from app.chain.adapters.transactions import send_raw
from app.chain.errors import (
    NODE_FAULTS,
    AlreadyKnown,
    InsufficientFunds,
    NonceTooHigh,
    NonceTooLow,
    PoolFull,
    Underpriced,
)
from app.chain.queries import attempts, signers, transitions
from app.chain.services.halts import tell_of_funds
from app.chain.services.run import Run
from app.chain.types.transactions import Attempt, AttemptOutcome
from app.core.db import release
from app.core.errors import AppError
from app.core.failpoints import failpoint

# The node has these bytes, or the chain has used their nonce: which hash used it, the receipts say.
TAKEN = (AlreadyKnown, NonceTooLow)
# Taken later: the watcher comes back to them.
PASSING = (*NODE_FAULTS, NonceTooHigh, InsufficientFunds, PoolFull)


def newest_attempts(found: Iterable[Attempt], intent_ids: Iterable[UUID]) -> list[Attempt]:
    """Of `found`, the newest attempt of each intent that is still open, lowest nonces first."""
    wanted = set(intent_ids)
    newest: dict[UUID, Attempt] = {}
    for attempt in found:
        is_open = attempt.outcome in (AttemptOutcome.SIGNED, AttemptOutcome.SENT)
        if attempt.intent_id in wanted and is_open:
            newest[attempt.intent_id] = attempt
    return sorted(newest.values(), key=lambda attempt: attempt.nonce)


def broadcast(run: Run, signed: Sequence[Attempt]) -> None:
    """Send each attempt's bytes, record what the node said, and commit.

    Sending the same bytes twice does nothing, so a run that dies in here is simply done again. Raises NodeFailed when
    the node did not answer at all: then nobody knows, and the bytes are sent again later.
    """
    if run.policy.dry_run or not signed:
        return
    state = signers.find(run.session, *run.key)
    release(run.session)
    if state is None or state.halt_reason is not None:
        return
    failpoint("sender.broadcast.before")
    refusals = send_raw(run.rpc, [attempt.raw for attempt in signed])
    failpoint("sender.broadcast.after")
    for attempt, refusal in zip(signed, refusals, strict=True):
        _record(run, attempt, refusal)
    tell_of_funds(run, refusals)
    run.commit()


def _record(run: Run, attempt: Attempt, refusal: AppError | None) -> None:
    if refusal is None or isinstance(refusal, TAKEN):
        attempts.mark_sent(run.session, attempt, run.now, refusal.code if refusal else None)
        transitions.mark_broadcast(run.session, attempt.intent_id, run.now)
        return
    attempts.mark_tried(run.session, attempt, run.now, refusal.code)
    if isinstance(refusal, Underpriced):
        return  # the watcher replaces it; and where it may not, it says why in the intent's row
    transitions.hold(run.session, attempt.intent_id, refusal)
    if not isinstance(refusal, PASSING):
        # These bytes can never be mined, but their nonce has to be used: by a transfer of nothing.
        transitions.ask_cancel(run.session, attempt.intent_id, f"the node refused it: {refusal.detail}")
