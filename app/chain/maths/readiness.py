"""Whether an intent may be signed now, from what the node said about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.chain.errors import (
    ExecutionReverted,
    FeeCapReached,
    GasAboveCeiling,
    InsufficientFunds,
    SimulationReverted,
)
from app.chain.maths.fees import dynamic_fees, gas_limit_with_margin, legacy_fees, max_cost_wei
from app.chain.maths.reverts import revert_reason
from app.chain.maths.tracking import is_expired
from app.chain.types.sending import Market, SenderPolicy, Simulation
from app.chain.types.transactions import Effect, Fees, Intent
from app.core.errors import AppError


@dataclass(frozen=True, slots=True)
class Ready:
    """May be signed, at this limit and price."""

    intent: Intent
    gas_limit: int
    fees: Fees

    @property
    def max_cost_wei(self) -> int:
        """The most it can take from the signer."""
        value = self.intent.value_wei if self.intent.effect is Effect.CALL else 0
        return max_cost_wei(self.gas_limit, self.fees, value)


@dataclass(frozen=True, slots=True)
class Held:
    """Not now; the same intent may go at a later look."""

    intent: Intent
    error: AppError


@dataclass(frozen=True, slots=True)
class Refused:
    """Never: the call would fail, or is not worth its gas. Costs nothing where no nonce is reserved."""

    intent: Intent
    error: AppError


@dataclass(frozen=True, slots=True)
class Expired:
    """No longer wanted."""

    intent: Intent


Readiness = Ready | Held | Refused | Expired


def fee_cap_wei(intent: Intent, policy: SenderPolicy) -> int:
    """The most a unit of gas may cost: the chain's cap, or, for the intent's own call, its own where that is lower."""
    if intent.fee_cap_wei is None or intent.effect is Effect.CANCEL:
        return policy.max_fee_wei
    return min(intent.fee_cap_wei, policy.max_fee_wei)


def current_fees(market: Market, policy: SenderPolicy, cap_wei: int) -> Fees:
    """Fees for the next blocks; raises FeeCapReached."""
    if market.base_fee_wei is None:
        return legacy_fees(market.gas_price_wei, floor_wei=policy.tip_floor_wei, cap_wei=cap_wei)
    return dynamic_fees(market.base_fee_wei, market.tip_wei, tip_floor_wei=policy.tip_floor_wei, cap_wei=cap_wei)


def readiness(intent: Intent, simulation: Simulation, market: Market, policy: SenderPolicy, now: datetime) -> Readiness:
    """What may be done with an intent whose next attempt was simulated just now."""
    if intent.effect is Effect.CALL and is_expired(intent, now):
        return Expired(intent)
    if simulation.gas_estimate is None:
        return _without_estimate(intent, simulation.failure)
    gas_limit = gas_limit_with_margin(simulation.gas_estimate, policy.gas_margin_bps)
    if intent.gas_ceiling is not None and intent.effect is Effect.CALL:
        if simulation.gas_estimate > intent.gas_ceiling:
            return Refused(intent, GasAboveCeiling(gas=simulation.gas_estimate, gas_ceiling=intent.gas_ceiling))
        gas_limit = min(gas_limit, intent.gas_ceiling)
    try:
        fees = current_fees(market, policy, fee_cap_wei(intent, policy))
    except FeeCapReached as reached:
        return Held(intent, reached)
    return Ready(intent, gas_limit, fees)


def _without_estimate(intent: Intent, failure: AppError | None) -> Readiness:
    if isinstance(failure, ExecutionReverted):
        return Refused(intent, SimulationReverted(revert_reason(failure.data) if failure.data else failure.detail))
    error = failure or AppError("the node gave neither an estimate nor a failure")
    waits = error.retryable or isinstance(error, InsufficientFunds)
    return Held(intent, error) if waits else Refused(intent, error)
