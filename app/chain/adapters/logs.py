"""Headers and logs, read from a node and turned from its hex into raw bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from app.chain.adapters.rpc import Call, Provider
from app.chain.errors import BlockUnavailable, NodeAnswerInvalid, NodeInconsistent
from app.chain.maths.selection import LogQuery, child_queries, created, log_queries, wanted
from app.chain.types.blocks import ContractSet, Header, Log
from app.chain.types.indexing import Heads, Window

HASH_BYTES = 32
ADDRESS_BYTES = 20
TOPICS_MAX = 4
INDEX_MAX = 2**31 - 1
MAX_ADDRESSES = 1000
TIMESTAMP_MAX = 253_402_300_799  # the last second of the year 9999: what a timestamp column and Python can hold


class _Block(msgspec.Struct, rename="camel"):
    number: str
    hash: str
    parent_hash: str
    timestamp: str


class _Log(msgspec.Struct, rename="camel"):
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
    queries = log_queries(contracts, max_addresses=max_addresses, by_topic=by_topic)
    logs = _read_logs(provider, queries, headers[0], headers[-1], settled)
    children = created(contracts, logs) if contracts.factories else {}
    contracts = contracts.with_children(children)
    queries = child_queries(contracts, queries, children, max_addresses=max_addresses) if children else []
    if queries:
        born = min(child.block_number for child in children.values())
        logs += _read_logs(provider, queries, headers[born - first], headers[-1], settled)
    size = provider.bytes_received - received
    return Window(headers, tuple(wanted(contracts, logs)), size, children)


def _read_logs(
    provider: Provider, queries: Sequence[LogQuery], first: Header, last: Header, settled: bool
) -> list[Log]:
    calls = [Call("eth_getLogs", [_filter(query, first, last)]) for query in queries]
    if settled:
        answers = provider.batch(calls, result=list[_Log], retry_timeouts=False)
    else:
        again = _by_number(hex(last.number))
        *answers, block = provider.batch([*calls, again], result=list[_Log] | _Block | None, retry_timeouts=False)
        if not isinstance(block, _Block) or _header(provider, block).hash != last.hash:
            raise NodeInconsistent(f"Block {last.number} was replaced while its logs were read.")
    if not all(isinstance(answer, list) for answer in answers):
        raise NodeAnswerInvalid(f"{provider.name} answered eth_getLogs with no list.")
    return [_log(provider, log) for answer in answers for log in answer]


def _filter(query: LogQuery, first: Header, last: Header) -> dict[str, Any]:
    asked: dict[str, Any] = {"fromBlock": hex(first.number), "toBlock": hex(last.number)}
    if query.addresses:
        asked["address"] = ["0x" + address.hex() for address in query.addresses]
    if query.topics:
        asked["topics"] = [["0x" + topic.hex() for topic in query.topics]]
    return asked


def _by_number(tag: str) -> Call:
    return Call("eth_getBlockByNumber", [tag, False])


def _header(provider: Provider, block: _Block) -> Header:
    try:
        return Header(
            _quantity(block.number),
            _bytes(block.hash, HASH_BYTES),
            _bytes(block.parent_hash, HASH_BYTES),
            _quantity(block.timestamp, TIMESTAMP_MAX),
        )
    except ValueError as error:
        raise NodeAnswerInvalid(f"{provider.name} answered a malformed header: {error}.") from None


def _log(provider: Provider, log: _Log) -> Log:
    if log.removed:
        raise NodeInconsistent(f"{provider.name} answered a log of a block that was removed from the chain.")
    try:
        return Log(
            _quantity(log.block_number),
            _bytes(log.block_hash, HASH_BYTES),
            _quantity(log.log_index, INDEX_MAX),
            _bytes(log.transaction_hash, HASH_BYTES),
            _quantity(log.transaction_index, INDEX_MAX),
            _bytes(log.address, ADDRESS_BYTES),
            tuple([_bytes(topic, HASH_BYTES) for topic in log.topics[:TOPICS_MAX]]),
            _bytes(log.data),
        )
    except ValueError as error:
        raise NodeAnswerInvalid(f"{provider.name} answered a malformed log: {error}.") from None


def _quantity(text: str, limit: int = 2**63 - 1) -> int:
    number = int(text, 16)
    if not 0 <= number <= limit:
        raise ValueError(f"{text[:80]!r} is out of range")
    return number


def _bytes(text: str, size: int | None = None) -> bytes:
    raw = bytes.fromhex(text[2:])
    if text[:2] != "0x" or (size is not None and len(raw) != size):
        raise ValueError(f"{text[:80]!r} is not {size or 'some'} bytes in hex")
    return raw
