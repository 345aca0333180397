"""Second step: hand out nonces, in one short transaction under the lock of the signer's row.

What may never happen is decided here, with the lock held: no nonce twice, none above the spend cap, none while the
signer is halted or its breaker open, none when somebody else has used the key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from app.chain.errors import BreakerOpen, CostAboveCap
from app.chain.maths.limits import obstacle
from app.chain.maths.readiness import Ready
from app.chain.queries import signers, transitions
from app.chain.services.endings import end_unsent
from app.chain.services.halts import halt, open_breaker
from app.chain.services.run import Run
from app.chain.types.sending import Market, SignerState
from app.chain.types.transactions import IntentStatus
from app.core.errors import AppError
from app.core.failpoints import failpoint


def reserve(run: Run, ready: Sequence[Ready], market: Market) -> list[Ready]:
    """Give each planned intent in `ready` the next nonce; returns those that have one now, and commits."""
    planned = [one for one in ready if one.intent.status is IntentStatus.PLANNED]
    if not planned:
        return []
    counted = max(market.latest_nonce, market.pending_nonce)
    state = signers.lock_or_create(run.session, *run.key, counted, run.now)
    if counted > state.next_nonce and state.halt_reason is None:
        # The row's nonce only grows, so a count read before the lock and yet above it was not made by us.
        reason = f"the node counts {counted} transactions of this key, we have handed out {state.next_nonce} nonces"
        halt(run, reason, {"counted": counted, "next_nonce": state.next_nonce})
        state = replace(state, halt_reason=reason)
    reserved = _hand_out(run, planned, state, market.head)
    run.commit()
    failpoint("sender.reserved")
    return reserved


def _hand_out(run: Run, planned: Sequence[Ready], state: SignerState, head: int) -> list[Ready]:
    still_planned = transitions.lock_planned(run.session, [one.intent.id for one in planned])
    ledger = signers.ledger(run.session, state, run.now)
    nonce, reserved = state.next_nonce, []
    for one in planned:
        if one.intent.id not in still_planned:
            continue  # somebody else has it, or it was cancelled
        why_not = obstacle(state, ledger, one.max_cost_wei, run.policy)
        if why_not is not None:
            state = _refuse(run, one, why_not, state)
            continue
        cost = one.max_cost_wei
        transitions.reserve(
            run.session, one.intent.id, nonce=nonce, block=head, gas_limit=one.gas_limit, max_cost_wei=cost, now=run.now
        )
        intent = replace(one.intent, status=IntentStatus.RESERVED, nonce=nonce, reserved_block=head, max_cost_wei=cost)
        reserved.append(replace(one, intent=intent))
        ledger = replace(ledger, committed_wei=ledger.committed_wei + cost)
        nonce += 1
    signers.set_next_nonce(run.session, state, nonce)
    return reserved


def _refuse(run: Run, one: Ready, why_not: AppError, state: SignerState) -> SignerState:
    """Record why not; an intent that could never go ends. Returns the signer's state: its breaker may be open now."""
    if isinstance(why_not, CostAboveCap):
        end_unsent(run, one.intent, IntentStatus.FAILED, why_not)
        return state
    transitions.hold(run.session, one.intent.id, why_not)
    if isinstance(why_not, BreakerOpen) and state.breaker_reason is None:
        reason = str(why_not.facts["reason"])
        open_breaker(run, reason)
        return replace(state, breaker_reason=reason)
    return state
