"""What to ask a node's eth_getLogs for, and which of the answer is wanted. Pure.

A node takes a limited number of addresses in one filter. More of them are asked for in chunks, or by topic alone, where
everybody else's events of the same name come too and are left out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from app.chain.errors import MalformedEvent
from app.chain.types.blocks import Child, ContractSet, Log


class LogQuery(NamedTuple):
    """One filter; no addresses, or no topics: any."""

    addresses: tuple[bytes, ...]
    topics: tuple[bytes, ...]


def log_queries(contracts: ContractSet, *, max_addresses: int, by_topic: bool) -> list[LogQuery]:
    """The filters that bring every log of the set.

    Contracts with anonymous events are asked for all they emit, since those have no topic to ask by. `by_topic`: where
    the others are more than one filter takes, ask by topic alone.
    """
    whole = sorted(contracts.anonymous)
    named = [address for address in contracts.addresses if address not in contracts.anonymous]
    topics = tuple(contracts.topics)
    chunks = _chunks(named, max_addresses)
    queries = [LogQuery(chunk, ()) for chunk in _chunks(whole, max_addresses)]
    if len(chunks) > 1 and by_topic:
        return [*queries, LogQuery((), topics)]
    return queries + [LogQuery(chunk, topics) for chunk in chunks]


def asks_by_topic(
    contracts: ContractSet, *, max_addresses: int, asked_blocks: int, range_blocks: int, max_blocks: int
) -> bool:
    """True when asking by topic alone takes fewer requests than asking in chunks.

    By topic a range is one request, but others' events may have taught us small ranges (`range_blocks`); in chunks it
    is several, of ranges that may be as large as any. At the chain's head, where less than a range is asked for, one
    request is the fewest.
    """
    chunks = -(-len(contracts.addresses) // max_addresses)
    return chunks > 1 and (asked_blocks < range_blocks or range_blocks * chunks >= max_blocks)


def created(contracts: ContractSet, logs: Iterable[Log]) -> dict[bytes, Child]:
    """The contracts that these logs say were made and nobody knew of, by address; the first word on each counts."""
    known = {address for address, _ in contracts.watched} | contracts.anonymous.keys() | contracts.children.keys()
    found: dict[bytes, Child] = {}
    for log in sorted(logs, key=lambda log: (log.block_number, log.log_index)):
        for factory in contracts.factories:
            decode = factory.creations.get((log.address, log.topics[0] if log.topics else b""))
            if decode is None:
                continue
            try:
                address = decode(log)[factory.argument]
            except MalformedEvent:  # recorded with its row, and raised as an alarm
                continue
            if address not in known:
                found.setdefault(address, Child(factory.contract, log.block_number))
    return found


def creations_only(contracts: ContractSet) -> ContractSet:
    """The same set, reading nothing but the events by which contracts are made."""
    pairs = {pair for factory in contracts.factories for pair in factory.creations}
    watched = {pair: event for pair, event in contracts.watched.items() if pair in pairs}
    return replace(contracts, watched=watched, anonymous={}, factories=(), children={})


def child_queries(
    contracts: ContractSet, asked: Sequence[LogQuery], children: Mapping[bytes, Child], *, max_addresses: int
) -> list[LogQuery]:
    """The filters that bring the logs of `children`, found in the answers to `asked`; none when those brought them."""
    if any(not query.addresses for query in asked):
        return []
    names = {child.contract for child in children.values()}
    made = {topic for factory in contracts.factories if factory.contract in names for topic in factory.events}
    return [LogQuery(chunk, tuple(sorted(made))) for chunk in _chunks(sorted(children), max_addresses)]


def wanted(contracts: ContractSet, logs: Iterable[Log]) -> list[Log]:
    """The logs that somebody asked for, where the filters could not say it all; in the chain's order, each once."""
    found = {(log.block_number, log.log_index): log for log in logs}
    if contracts.factories or contracts.anonymous:
        found = {place: log for place, log in found.items() if contracts.find(log) is not None}
    return [found[place] for place in sorted(found)]


def matching(contracts: ContractSet, logs: Iterable[Log]) -> list[Log]:
    """Of everything that a block holds, what the filters would have brought: by address and first topic, each for
    itself, as a node's filter has them.
    """
    if contracts.factories or contracts.anonymous:
        return wanted(contracts, logs)
    addresses, topics = set(contracts.addresses), set(contracts.topics)
    return [log for log in logs if log.address in addresses and log.topics and log.topics[0] in topics]


def _chunks(addresses: Sequence[bytes], size: int) -> list[tuple[bytes, ...]]:
    return [tuple(addresses[start : start + size]) for start in range(0, len(addresses), size)]
