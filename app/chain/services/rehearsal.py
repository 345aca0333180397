"""Asking the node what calls would do and cost, before any of them is planned: two batches, however many there are."""

from __future__ import annotations

from collections.abc import Sequence

from app.chain.adapters.calls import call_and_estimate, read_contract, read_contracts
from app.chain.adapters.rpc import Provider
from app.chain.adapters.transactions import read_market
from app.chain.errors import ExecutionReverted
from app.chain.maths.fees import gas_limit_with_margin, max_cost_wei
from app.chain.maths.readiness import current_fees
from app.chain.maths.reverts import revert_reason
from app.chain.types.calls import ContractCall, Rehearsal
from app.chain.types.sending import SenderPolicy
from app.chain.types.transactions import Fees
from app.core.errors import AppError


def read(rpc: Provider, call: ContractCall) -> bytes:
    """What a contract answers at the head; raises ExecutionReverted and the node's failures."""
    return read_contract(rpc, call)


def read_all(rpc: Provider, calls: Sequence[ContractCall]) -> list[bytes | AppError]:
    """What each contract answers at the head, or why it does not, in one batch; raises the node's failures."""
    return read_contracts(rpc, calls)


def rehearse(rpc: Provider, sender: bytes, calls: Sequence[ContractCall], *, policy: SenderPolicy) -> list[Rehearsal]:
    """What each call from `sender` would do at the head, and the most it can cost as the sender would send it.

    A call that fails says so in its place. Raises FeeCapReached when gas costs more than the policy allows, and the
    node's failures when it does not answer at all.
    """
    if not calls:
        return []
    fees = current_fees(read_market(rpc, sender, policy.tip_percentile), policy, policy.max_fee_wei)
    outcomes = call_and_estimate(rpc, sender, calls)
    return [_rehearsal(call, outcome, fees, policy) for call, outcome in zip(calls, outcomes, strict=True)]


def _rehearsal(
    call: ContractCall, outcome: tuple[bytes, int] | AppError, fees: Fees, policy: SenderPolicy
) -> Rehearsal:
    if isinstance(outcome, ExecutionReverted):
        return Rehearsal(failure=outcome, reason=revert_reason(outcome.data) if outcome.data else outcome.detail)
    if isinstance(outcome, AppError):
        return Rehearsal(failure=outcome)
    returned, gas = outcome
    limit = gas_limit_with_margin(gas, policy.gas_margin_bps)
    return Rehearsal(returned=returned, max_cost_wei=max_cost_wei(limit, fees, call.value_wei))
