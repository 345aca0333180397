"""Headers and logs, read from a node and turned from its hex into raw bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from app.chain.adapters.rpc import Call, Provider
from app.chain.errors import BlockUnavailable, NodeAnswerInvalid, NodeInconsistent
from app.chain.maths.selection import LogQuery, child_queries, created, log_queries, wanted
from app.chain.types.blocks import ContractSet, Header, Log
from app.chain.types.indexing import Heads, Window

HASH_BYTES = 32
ADDRESS_BYTES = 20
BLOOM_BYTES = 256
TOPICS_MAX = 4
INDEX_MAX = 2**31 - 1
MAX_ADDRESSES = 1000
TIMESTAMP_MAX = 253_402_300_799  # the last second of the year 9999: what a timestamp column and Python can hold


class _Block(msgspec.Struct, rename="camel", gc=False, kw_only=True):
    """A header. But for the last field it is what the hash is made of, in that order; what is not needed as it comes
    is kept as it is, and read only where the hash is computed again.
    """

    parent_hash: str
    sha3_uncles: Any = None
    miner: Any = None
    state_root: Any = None
    transactions_root: Any = None
    receipts_root: str | None = None
    logs_bloom: str | None = None
    difficulty: Any = None
    number: str
    gas_limit: Any = None
    gas_used: Any = None
    timestamp: str
    extra_data: Any = None
    mix_hash: Any = None
    nonce: Any = None
    base_fee_per_gas: Any = None
    withdrawals_root: Any = None
    blob_gas_used: Any = None
    excess_blob_gas: Any = None
    parent_beacon_block_root: Any = None
    requests_hash: Any = None
    hash: str


_sealed = attrgetter(*_Block.__struct_fields__[:-1])


class RawLog(msgspec.Struct, rename="camel", gc=False):
    """A log as nodes write it."""

    block_number: str
    block_hash: str
    log_index: str
    transaction_hash: str
    transaction_index: str
    address: str
    topics: list[str]
    data: str
    removed: bool = False


def read_heads(provider: Provider, *, tip_block: int | None, finalized: bool) -> Heads:
    """The node's head, its finalized block where `finalized` asks for it, and its block `tip_block`; one request.

    Raises NodeAnswerInvalid when the node has no head.
    """
    tags = ["latest", *(["finalized"] if finalized else []), *([] if tip_block is None else [hex(tip_block)])]
    blocks = provider.batch([_by_number(tag) for tag in tags], result=_Block | None)
    found = {tag: _header(provider, block) for tag, block in zip(tags, blocks, strict=True) if block is not None}
    if "latest" not in found:
        raise NodeAnswerInvalid(f"{provider.name} has no latest block.")
    final = found.get("finalized")
    at_tip = None if tip_block is None else found.get(hex(tip_block))
    return Heads(found["latest"], None if final is None else final.number, at_tip)


def read_headers(provider: Provider, numbers: Sequence[int]) -> list[Header]:
    """The headers of `numbers`, in their order; raises BlockUnavailable when the node lacks one."""
    blocks = provider.batch([_by_number(hex(number)) for number in numbers], result=_Block | None)
    headers: list[Header] = []
    for number, block in zip(numbers, blocks, strict=True):
        if block is None:
            raise BlockUnavailable(f"{provider.name} does not have block {number}.")
        headers.append(_header(provider, block))
        if headers[-1].number != number:
            raise NodeAnswerInvalid(f"{provider.name} answered block {headers[-1].number} for block {number}.")
    return headers


def read_window(
    provider: Provider,
    contracts: ContractSet,
    *,
    first: int,
    last: int,
    known: Mapping[int, Header],
    settled: bool,
    max_addresses: int = MAX_ADDRESSES,
    by_topic: bool = True,
) -> Window:
    """Every header and every log of `contracts` in the blocks `first` to `last`. `known` headers are not asked for.

    Contracts that are made in the range are found, and their logs read, too. Headers come before the logs, and unless
    the range is `settled` (final) the last header is read again with them: logs of a chain that replaced this one
    meanwhile would be missing without a trace. Raises NodeInconsistent for that, and RangeTooLarge, AnswerTooLarge or
    NodeTimeout when less should be asked for.
    """
    missing = [number for number in range(first, last + 1) if number not in known]
    fetched = {header.number: header for header in read_headers(provider, missing)} if missing else {}
    headers = tuple(known.get(number) or fetched[number] for number in range(first, last + 1))
    received = provider.bytes_received
    asked = log_queries(contracts, max_addresses=max_addresses, by_topic=by_topic)
    logs = _read_logs(provider, asked, headers[0], headers[-1], settled)
    children = created(contracts, logs) if contracts.factories else {}
    contracts = contracts.with_children(children)
    of_children = child_queries(contracts, asked, children, max_addresses=max_addresses) if children else []
    if of_children:
        born = min(child.block_number for child in children.values())
        logs += _read_logs(provider, of_children, headers[born - first], headers[-1], settled)
    size = provider.bytes_received - received
    return Window(headers, tuple(_in_order(contracts, logs, overlapping=len(asked) > 1)), size, children)


def _in_order(contracts: ContractSet, logs: list[Log], *, overlapping: bool) -> list[Log]:
    """As the chain has them; what one filter said twice stays so, for the window is held against itself."""
    if overlapping or contracts.factories or contracts.anonymous:
        return wanted(contracts, logs)
    logs.sort(key=attrgetter("block_number", "log_index"))
    return logs


def _read_logs(
    provider: Provider, queries: Sequence[LogQuery], first: Header, last: Header, settled: bool
) -> list[Log]:
    calls = [Call("eth_getLogs", [filter_of(query) | _between(first, last)]) for query in queries]
    if settled:
        answers = provider.batch(calls, result=list[RawLog], retry_timeouts=False)
    else:
        again = _by_number(hex(last.number))
        *answers, block = provider.batch([*calls, again], result=list[RawLog] | _Block | None, retry_timeouts=False)
        if not isinstance(block, _Block) or _header(provider, block).hash != last.hash:
            raise NodeInconsistent(f"Block {last.number} was replaced while its logs were read.")
    if not all(isinstance(answer, list) for answer in answers):
        raise NodeAnswerInvalid(f"{provider.name} answered eth_getLogs with no list.")
    return [log for answer in answers for log in to_logs(provider, answer)]


def filter_of(query: LogQuery) -> dict[str, Any]:
    """The addresses and topics of an eth_getLogs filter."""
    asked: dict[str, Any] = {}
    if query.addresses:
        asked["address"] = ["0x" + address.hex() for address in query.addresses]
    if query.topics:
        asked["topics"] = [["0x" + topic.hex() for topic in query.topics]]
    return asked


def _between(first: Header, last: Header) -> dict[str, str]:
    return {"fromBlock": hex(first.number), "toBlock": hex(last.number)}


def _by_number(tag: str) -> Call:
    return Call("eth_getBlockByNumber", [tag, False])


def _header(provider: Provider, block: _Block) -> Header:
    try:
        return Header(
            quantity(block.number),
            raw_bytes(block.hash, HASH_BYTES),
            raw_bytes(block.parent_hash, HASH_BYTES),
            quantity(block.timestamp, TIMESTAMP_MAX),
            raw_bytes(block.logs_bloom, BLOOM_BYTES) if block.logs_bloom else b"",
            raw_bytes(block.receipts_root, HASH_BYTES) if block.receipts_root else b"",
            tuple([value if isinstance(value, str) else None for value in _sealed(block)]),
        )
    except ValueError as error:
        raise NodeAnswerInvalid(f"{provider.name} answered a malformed header: {error}.") from None


class _Words(dict[str, bytes]):
    """Hex as bytes, each text once: of a window's addresses, hashes and topics most come again and again."""

    def __init__(self, size: int):
        super().__init__()
        self._size = size

    def __missing__(self, text: str) -> bytes:
        raw = self[text] = raw_bytes(text, self._size)
        return raw


class _Numbers(dict[str, int]):
    """The same for block numbers and places."""

    def __init__(self, limit: int = 2**63 - 1):
        super().__init__()
        self._limit = limit

    def __missing__(self, text: str) -> int:
        number = self[text] = quantity(text, self._limit)
        return number


def to_logs(provider: Provider, logs: Sequence[RawLog]) -> list[Log]:
    """The logs in raw bytes, as they come; raises NodeAnswerInvalid, and NodeInconsistent for one that was removed."""
    blocks, places, hashes, addresses = _Numbers(), _Numbers(INDEX_MAX), _Words(HASH_BYTES), _Words(ADDRESS_BYTES)
    try:
        found = [
            Log(
                blocks[log.block_number],
                hashes[log.block_hash],
                places[log.log_index],
                hashes[log.transaction_hash],
                places[log.transaction_index],
                addresses[log.address],
                tuple([hashes[topic] for topic in log.topics[:TOPICS_MAX]]),
                raw_bytes(log.data),
            )
            for log in logs
            if not log.removed
        ]
    except ValueError as error:
        raise NodeAnswerInvalid(f"{provider.name} answered a malformed log: {error}.") from None
    if len(found) < len(logs):
        raise NodeInconsistent(f"{provider.name} answered a log of a block that was removed from the chain.")
    return found


def quantity(text: str, limit: int = 2**63 - 1) -> int:
    """A JSON-RPC quantity; raises ValueError for what is none, or above `limit`."""
    number = int(text, 16)
    if not 0 <= number <= limit:
        raise ValueError(f"{text[:80]!r} is out of range")
    return number


def raw_bytes(text: str, size: int | None = None) -> bytes:
    """JSON-RPC's hex as bytes; raises ValueError for what is none, or not `size` long."""
    raw = bytes.fromhex(text[2:])
    if text[:2] != "0x" or (size is not None and len(raw) != size):
        raise ValueError(f"{text[:80]!r} is not {size or 'some'} bytes in hex")
    return raw
