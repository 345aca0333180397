"""Contract calls that leave no trace: `eth_call` and `eth_estimateGas`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.chain.adapters.rpc import Call, Provider
from app.chain.errors import NodeAnswerInvalid
from app.chain.types.calls import ContractCall
from app.core.errors import AppError


def read_contract(rpc: Provider, call: ContractCall) -> bytes:
    """What the contract answers at the head; raises the classes of chain.errors."""
    return _bytes(rpc.call("eth_call", _fields(call, None), "latest"))


def read_contracts(rpc: Provider, calls: Sequence[ContractCall]) -> list[bytes | AppError]:
    """What each contract answers at the head, or its failure in its place; in batches. A request that failed as a whole
    raises.
    """
    answers = rpc.outcomes([Call("eth_call", (_fields(call, None), "latest")) for call in calls])
    return [answer if isinstance(answer, AppError) else _bytes(answer) for answer in answers]


def call_and_estimate(
    rpc: Provider, sender: bytes, calls: Sequence[ContractCall]
) -> list[tuple[bytes, int] | AppError]:
    """For each call from `sender`, what it returns at the head and the gas it takes, or its failure; in batches."""
    asked = [
        Call(method, (_fields(call, sender), "latest")) for call in calls for method in ("eth_call", "eth_estimateGas")
    ]
    answers = rpc.outcomes(asked)
    return [_outcome(answers[place], answers[place + 1]) for place in range(0, len(answers), 2)]


def _outcome(returned: Any, estimate: Any) -> tuple[bytes, int] | AppError:
    for answer in (returned, estimate):
        if isinstance(answer, AppError):
            return answer
    try:
        return _bytes(returned), int(estimate, 16)
    except (TypeError, ValueError):
        raise NodeAnswerInvalid(f"not a quantity: {str(estimate)[:80]!r}") from None


def _fields(call: ContractCall, sender: bytes | None) -> dict[str, str]:
    fields = {"to": "0x" + call.to.hex(), "data": "0x" + call.data.hex()}
    if sender is not None:
        fields |= {"from": "0x" + sender.hex(), "value": hex(call.value_wei)}
    return fields


def _bytes(answer: Any) -> bytes:
    try:
        return bytes.fromhex(answer.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise NodeAnswerInvalid(f"not hex: {str(answer)[:80]!r}") from None
