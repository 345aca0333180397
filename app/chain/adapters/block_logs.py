"""One block's logs, by the block's own hash or from its receipts: no range, and no doubt which block."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import msgspec

from app.chain.adapters.header_proof import is_proven
from app.chain.adapters.logs import (
    BLOOM_BYTES,
    MAX_ADDRESSES,
    RawLog,
    filter_of,
    quantity,
    raw_bytes,
    read_headers,
    to_logs,
)
from app.chain.adapters.rpc import Call, Provider
from app.chain.errors import BlockUnavailable, NodeAnswerInvalid, NodeInconsistent, ReceiptsUnusable
from app.chain.maths.selection import created, log_queries, matching, wanted
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
    queries = log_queries(contracts, max_addresses=MAX_ADDRESSES, by_topic=True)
    calls = [
        Call("eth_getLogs", [filter_of(query) | {"blockHash": "0x" + header.hash.hex()}])
        for header in headers
        for query in queries
    ]
    answers = iter(provider.batch(calls, result=list[RawLog]))
    found = []
    for header in headers:
        logs = [log for _ in queries for log in to_logs(provider, next(answers))]
        found.append(wanted(contracts, _of_block(provider, header, logs)))
    return found


def read_proven_logs(
    provider: Provider, contracts: ContractSet, headers: Sequence[Header], *, by_hash: bool
) -> list[list[Log]]:
    """The logs of `contracts` in each of these blocks, proven complete against the header; one call a block. `by_hash`:
    and the header against its hash, so that nobody's word is in the proof.

    Raises BlockUnavailable, NodeInconsistent when the receipts are not those of the header, or the header not that of
    its hash; MethodMissing, and ReceiptsUnusable where a root or a hash cannot be computed.
    """
    for header in headers if by_hash else ():
        if not is_proven(provider, header):
            raise ReceiptsUnusable(f"The header of block {header.number} cannot be held against its hash.")
    found: list[list[Log]] = []
    for start in range(0, len(headers), RECEIPTS_AT_ONCE):
        proven = _read_proven(provider, headers[start : start + RECEIPTS_AT_ONCE])
        found += [matching(contracts, logs) for logs in proven]
    return found


def read_whole_block(provider: Provider, contracts: ContractSet, number: int, *, by_hash: bool) -> Window:
    """One block that holds too many logs for eth_getLogs, by its receipts, proven; raises as `read_proven_logs`. There
    is no other way to read it, so a header that cannot be held against its hash will do.
    """
    headers = read_headers(provider, [number])
    if by_hash:
        is_proven(provider, headers[0])
    received = provider.bytes_received
    everything = _read_proven(provider, headers)[0]
    children = created(contracts, everything) if contracts.factories else {}
    logs = matching(contracts.with_children(children), everything)
    return Window(tuple(headers), tuple(logs), provider.bytes_received - received, children)


def _read_proven(provider: Provider, headers: Sequence[Header]) -> list[list[Log]]:
    calls = [Call("eth_getBlockReceipts", [hex(header.number)]) for header in headers]
    answers = provider.batch(calls, result=list[_Receipt] | None)
    return [_proven(provider, header, answer) for header, answer in zip(headers, answers, strict=True)]


def _proven(provider: Provider, header: Header, answer: list[_Receipt] | None) -> list[Log]:
    if answer is None:
        raise BlockUnavailable(f"{provider.name} does not have the receipts of block {header.number}.")
    receipts = [_receipt(provider, raw) for raw in answer]
    roots = import_module("app.chain.maths.receipts")  # rlp takes longer to load than a range to read
    if not header.receipts_root or any(receipt.kind not in roots.KNOWN_KINDS for receipt in receipts):
        raise ReceiptsUnusable(f"The receipts of block {header.number} cannot be held against its header.")
    if roots.receipts_root(receipts) != header.receipts_root:
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
