"""What the sender asks a node: fees and nonces, simulation, receipts, sending. Hex ends here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from app.chain.adapters.rpc import Call, Provider
from app.chain.errors import MethodMissing, NodeAnswerInvalid, NodeRefused
from app.chain.maths.fees import market_tip_wei
from app.chain.types.sending import AccountState, Market, Receipt, Sightings, Simulation
from app.chain.types.transactions import Effect, Intent
from app.core.errors import AppError

FEE_HISTORY_BLOCKS = 5


class _Receipt(msgspec.Struct, rename="camel"):
    transaction_hash: str
    block_number: str
    block_hash: str
    gas_used: str
    status: str
    effective_gas_price: str | None = None
    l1_fee: str | None = None


class _Header(msgspec.Struct, rename="camel"):
    number: str
    hash: str
    base_fee_per_gas: str | None = None


class _Transaction(msgspec.Struct, rename="camel"):
    hash: str
    nonce: str
    sender: str = msgspec.field(name="from")


class _FullBlock(msgspec.Struct):
    transactions: list[_Transaction]


def read_market(rpc: Provider, signer: bytes, tip_percentile: int) -> Market:
    """Fees and the signer's counts at the head: one batch. Raises the classes of chain.errors."""
    account = _hex(signer)
    block, history, price, latest, pending = rpc.outcomes(
        [
            Call("eth_getBlockByNumber", ("latest", False)),
            Call("eth_feeHistory", (hex(FEE_HISTORY_BLOCKS), "latest", [tip_percentile])),
            Call("eth_gasPrice"),
            Call("eth_getTransactionCount", (account, "latest")),
            Call("eth_getTransactionCount", (account, "pending")),
        ]
    )
    header = _parsed(_raised(block), _Header)
    return Market(
        head=_quantity(header.number),
        base_fee_wei=None if header.base_fee_per_gas is None else _quantity(header.base_fee_per_gas),
        tip_wei=market_tip_wei(_rewards(history)),
        gas_price_wei=_quantity(_raised(price)),
        latest_nonce=_quantity(_raised(latest)),
        pending_nonce=_quantity(_raised(pending)),
    )


def read_account(rpc: Provider, address: bytes) -> AccountState:
    """An account's balance and counts at the head: one batch. Raises the classes of chain.errors."""
    account = _hex(address)
    balance, latest, pending = rpc.batch(
        [
            Call("eth_getBalance", (account, "latest")),
            Call("eth_getTransactionCount", (account, "latest")),
            Call("eth_getTransactionCount", (account, "pending")),
        ]
    )
    return AccountState(_quantity(balance), _quantity(latest), _quantity(pending))


def simulate(rpc: Provider, intents: Sequence[Intent]) -> list[Simulation]:
    """Call and estimate the next attempt of each intent at the head, in one batch."""
    calls = [call for intent in intents for call in _simulation_calls(intent)]
    answers = rpc.outcomes(calls)
    return [_simulation(answers[i], answers[i + 1]) for i in range(0, len(answers), 2)]


def read_sightings(
    rpc: Provider, market: Market, signer: bytes, hashes: Sequence[bytes], *, confirmations: int
) -> Sightings:
    """The receipts of `hashes`, and the hashes now at their heights: two batches.

    The signer's count at the settled block is asked for before the receipts: a nonce that it calls used was used by a
    block that the receipts know as well.
    """
    settled = hex(max(0, market.head - confirmations))
    calls = [Call("eth_getTransactionCount", (_hex(signer), settled))]
    calls += [Call("eth_getTransactionReceipt", (_hex(transaction),)) for transaction in hashes]
    count, *answers = rpc.batch(calls)
    receipts = [_receipt(answer) for answer in answers if answer is not None]
    heights = sorted({receipt.block_number for receipt in receipts})
    return Sightings(
        market=market,
        settled_nonce=_quantity(count),
        receipts={receipt.transaction_hash: receipt for receipt in receipts},
        canonical=_hashes_at(rpc, heights),
    )


def send_raw(rpc: Provider, raws: Sequence[bytes]) -> list[AppError | None]:
    """Hand signed bytes to the node; for each the node's refusal, or None where it took them."""
    answers = rpc.outcomes([Call("eth_sendRawTransaction", (_hex(raw),)) for raw in raws])
    return [answer if isinstance(answer, AppError) else None for answer in answers]


def find_nonce_owner(rpc: Provider, signer: bytes, nonce: int, low: int, high: int) -> bytes | None:
    """The hash of the transaction of `signer` that used `nonce`, in a block above `low` and not above `high`.

    None when the nonce was not used there. Bisects the signer's count: about log2(high - low) calls. Raises
    BlockUnavailable when the node keeps no state that old.
    """

    def used(block: int) -> bool:
        return bool(_quantity(rpc.call("eth_getTransactionCount", _hex(signer), hex(block))) > nonce)

    if not used(high):
        return None
    if low > 0 and used(low):
        low = 0  # a reorg has moved it below where the nonce was reserved
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if used(middle) else (middle, high)
    block = _parsed(rpc.call("eth_getBlockByNumber", hex(high), True), _FullBlock)
    for transaction in block.transactions:
        if _bytes(transaction.sender) == signer and _quantity(transaction.nonce) == nonce:
            return _bytes(transaction.hash)
    return None


def _simulation_calls(intent: Intent) -> tuple[Call, Call]:
    if intent.effect is Effect.CANCEL:
        fields = {"from": _hex(intent.signer), "to": _hex(intent.signer), "value": "0x0", "data": "0x"}
    else:
        value = hex(intent.value_wei)
        fields = {"from": _hex(intent.signer), "to": _hex(intent.to), "value": value, "data": _hex(intent.data)}
    return Call("eth_call", (fields, "latest")), Call("eth_estimateGas", (fields, "latest"))


def _simulation(called: Any, estimate: Any) -> Simulation:
    for answer in (called, estimate):
        if isinstance(answer, AppError):
            return Simulation(gas_estimate=None, failure=answer)
    return Simulation(gas_estimate=_quantity(estimate), failure=None)


def _rewards(history: Any) -> list[int]:
    """The tips that recent blocks paid; a node without fee history, or with empty blocks, knows none."""
    if isinstance(history, MethodMissing | NodeRefused):
        return []
    rewards = _raised(history).get("reward") or []
    return [_quantity(reward[0]) for reward in rewards if reward]


def _hashes_at(rpc: Provider, heights: Iterable[int]) -> dict[int, bytes]:
    answers = rpc.batch([Call("eth_getBlockByNumber", (hex(height), False)) for height in heights])
    headers = [_parsed(answer, _Header) for answer in answers if answer is not None]
    return {_quantity(header.number): _bytes(header.hash) for header in headers}


def _receipt(answer: Any) -> Receipt:
    fields = _parsed(answer, _Receipt)
    return Receipt(
        transaction_hash=_bytes(fields.transaction_hash),
        block_number=_quantity(fields.block_number),
        block_hash=_bytes(fields.block_hash),
        status=_quantity(fields.status),
        gas_used=_quantity(fields.gas_used),
        gas_price_wei=None if fields.effective_gas_price is None else _quantity(fields.effective_gas_price),
        data_fee_wei=0 if fields.l1_fee is None else _quantity(fields.l1_fee),
    )


def _raised(answer: Any) -> Any:
    if isinstance(answer, AppError):
        raise answer
    return answer


def _parsed(answer: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as problem:
        raise NodeAnswerInvalid(f"the node's answer does not fit: {problem}") from None


def _hex(value: bytes) -> str:
    return "0x" + value.hex()


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise NodeAnswerInvalid(f"not hex: {text[:80]!r}") from None


def _quantity(value: Any) -> int:
    try:
        return int(value, 16)
    except (TypeError, ValueError):
        raise NodeAnswerInvalid(f"not a quantity: {str(value)[:80]!r}") from None
