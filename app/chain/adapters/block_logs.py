"""One block's logs, by the block's own hash or from its receipts: no range, and no doubt which block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from app.chain.adapters.logs import BLOOM_BYTES, RawLog, quantity, raw_bytes, read_headers, to_logs
from app.chain.adapters.rpc import Call, Provider
from app.chain.errors import BlockUnavailable, NodeAnswerInvalid, NodeInconsistent, ReceiptsUnusable
from app.chain.maths.receipts import KNOWN_KINDS, receipts_root
from app.chain.types.blocks import ContractSet, Header, Log, Receipt
from app.chain.types.indexing import Window

GAS_MAX = 2**64 - 1
RECEIPTS_AT_ONCE = 8  # a full block's come to half a megabyte or more


class _Receipt(msgspec.Struct, rename="camel"):
    cumulative_gas_used: str
    logs_bloom: str
    logs: list[RawLog]
    type: str = "0x0"
    status: str | None = None


def read_block_logs(provider: Provider, contracts: ContractSet, headers: Sequence[Header]) -> list[list[Log]]:
    """The logs of `contracts` in each of these blocks, by hash: one call a block, in batches.

    A node that does not have a block by that hash says so (BlockUnavailable), where a range gives an empty list.
    Raises NodeInconsistent for a log of another block.
    """
    addresses = ["0x" + address.hex() for address in contracts.addresses]
    topics = [["0x" + topic.hex() for topic in contracts.topics]]
    calls = [
        Call("eth_getLogs", [{"blockHash": "0x" + header.hash.hex(), "address": addresses, "topics": topics}])
        for header in headers
    ]
    answers = provider.batch(calls, result=list[RawLog])
    return [
        _of_block(provider, header, to_logs(provider, answer)) for header, answer in zip(headers, answers, strict=True)
    ]


def read_proven_logs(provider: Provider, contracts: ContractSet, headers: Sequence[Header]) -> list[list[Log]]:
    """The logs of `contracts` in each of these blocks, proven complete against the header; one call a block.

    Raises BlockUnavailable, NodeInconsistent when the receipts are not those of the header, MethodMissing, and
    ReceiptsUnusable where the root cannot be computed.
    """
    found: list[list[Log]] = []
    for start in range(0, len(headers), RECEIPTS_AT_ONCE):
        some = headers[start : start + RECEIPTS_AT_ONCE]
        calls = [Call("eth_getBlockReceipts", [hex(header.number)]) for header in some]
        answers = provider.batch(calls, result=list[_Receipt] | None)
        for header, answer in zip(some, answers, strict=True):
            found.append(list(_watched(contracts, _proven(provider, header, answer))))
    return found


def read_whole_block(provider: Provider, contracts: ContractSet, number: int) -> Window:
    """One block that holds too many logs for eth_getLogs, by its receipts, proven; raises as `read_proven_logs`."""
    headers = read_headers(provider, [number])
    received = provider.bytes_received
    logs = read_proven_logs(provider, contracts, headers)[0]
    return Window(tuple(headers), tuple(logs), provider.bytes_received - received)


def _proven(provider: Provider, header: Header, answer: list[_Receipt] | None) -> list[Log]:
    if answer is None:
        raise BlockUnavailable(f"{provider.name} does not have the receipts of block {header.number}.")
    receipts = [_receipt(provider, raw) for raw in answer]
    if not header.receipts_root or any(receipt.kind not in KNOWN_KINDS for receipt in receipts):
        raise ReceiptsUnusable(f"The receipts of block {header.number} cannot be held against its header.")
    if receipts_root(receipts) != header.receipts_root:
        raise NodeInconsistent(f"{provider.name} gave receipts that are not those of block {header.number}.")
    return _of_block(provider, header, [log for receipt in receipts for log in receipt.logs])


def _receipt(provider: Provider, raw: _Receipt) -> Receipt:
    if raw.status is None:
        raise ReceiptsUnusable("Receipts from before Byzantium hold no status.")
    try:
        return Receipt(
            quantity(raw.type),
            quantity(raw.status),
            quantity(raw.cumulative_gas_used, GAS_MAX),
            raw_bytes(raw.logs_bloom, BLOOM_BYTES),
            tuple(to_logs(provider, raw.logs)),
        )
    except ValueError as error:
        raise NodeAnswerInvalid(f"{provider.name} answered a malformed receipt: {error}.") from None


def _of_block(provider: Provider, header: Header, logs: list[Log]) -> list[Log]:
    if any(log.block_hash != header.hash or log.block_number != header.number for log in logs):
        raise NodeInconsistent(f"{provider.name} answered logs of another block for block {header.number}.")
    return sorted(logs, key=lambda log: log.log_index)


def _watched(contracts: ContractSet, logs: Sequence[Log]) -> Iterator[Log]:
    """Those that eth_getLogs would have given: by address and first topic, each for itself, as its filter has them."""
    addresses, topics = set(contracts.addresses), set(contracts.topics)
    return (log for log in logs if log.address in addresses and log.topics and log.topics[0] in topics)
