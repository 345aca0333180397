"""The money limits of a signer: the cap on an hour's spending, and the breaker on spending and reverts. Pure.

The bound counts the most that live intents may still take, so that no burst gets past it; but what is only possible
makes an intent wait, and what is spent opens the breaker, which an operator resets.
"""

from __future__ import annotations

from app.chain.errors import BreakerOpen, CostAboveCap, SignerHalted, SpendCapReached
from app.chain.maths.fees import BPS
from app.chain.types.sending import Ledger, SenderPolicy, SignerState
from app.core.errors import AppError


def obstacle(state: SignerState, ledger: Ledger, cost_wei: int, policy: SenderPolicy) -> AppError | None:
    """Why an intent that may cost `cost_wei` gets no nonce now; None when it may have one.

    CostAboveCap can never pass. SpendCapReached passes when live intents end. BreakerOpen and SignerHalted pass when an
    operator says so.
    """
    if state.halt_reason is not None:
        return SignerHalted(reason=state.halt_reason)
    if state.breaker_reason is not None:
        return BreakerOpen(reason=state.breaker_reason)
    if cost_wei > policy.max_spend_per_hour_wei:
        return CostAboveCap(cost_wei=str(cost_wei), cap_wei=str(policy.max_spend_per_hour_wei))
    tripped = breaker_reason(ledger, cost_wei, policy)
    if tripped is not None:
        return BreakerOpen(reason=tripped)
    return None if has_room(ledger, cost_wei, policy) else SpendCapReached(cost_wei=str(cost_wei))


def breaker_reason(ledger: Ledger, cost_wei: int, policy: SenderPolicy) -> str | None:
    """Why the breaker opens before something of `cost_wei` is sent; None when it need not."""
    cap = policy.max_spend_per_hour_wei
    if ledger.spent_wei + cost_wei > cap:
        return f"{ledger.spent_wei} wei spent within an hour; {cost_wei} more may pass the cap of {cap}"
    enough = ledger.mined >= policy.breaker_min_mined
    if enough and ledger.reverted * BPS > ledger.mined * policy.breaker_max_reverted_bps:
        return f"{ledger.reverted} of the last hour's {ledger.mined} transactions reverted"
    return None


def has_room(ledger: Ledger, cost_wei: int, policy: SenderPolicy) -> bool:
    """True when `cost_wei` more fits under the hour's cap even if every live intent takes all it may."""
    return ledger.spent_wei + ledger.committed_wei + cost_wei <= policy.max_spend_per_hour_wei
