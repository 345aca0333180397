"""What is read from a chain: headers, logs, decoded events, and the contracts they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import msgspec

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# Headers, logs and events come by the hundred thousand: msgspec structs are made in a tenth of a dataclass's time.


class Header(msgspec.Struct, frozen=True, gc=False):
    """A block's place in its chain. `timestamp` is in seconds since 1970.

    `logs_bloom` (256 bytes) and `receipts_root` (32) are what its logs are checked by; empty where the node gives none.
    `sealed`: all that `hash` is made of, in its order and as the node wrote it.
    """

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    logs_bloom: bytes = b""
    receipts_root: bytes = b""
    sealed: tuple[Any, ...] = ()


class Log(msgspec.Struct, frozen=True, gc=False):
    """One log, in raw words: 32-byte topics, data as the contract wrote it."""

    block_number: int
    block_hash: bytes
    log_index: int
    transaction_hash: bytes
    transaction_index: int
    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """What a transaction came to, as far as the receipts root covers it. `kind`: the EIP-2718 type, 0 legacy."""

    kind: int
    status: int
    cumulative_gas_used: int
    logs_bloom: bytes
    logs: tuple[Log, ...]


class Event(msgspec.Struct, frozen=True):
    """A log read by its contract's ABI.

    `args` by the ABI's names: whole numbers as int, addresses and bytesN as bytes, an indexed string, bytes, array or
    struct as the 32-byte hash the chain keeps of it.
    """

    log: Log
    mined_at: datetime
    contract: str
    name: str
    args: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WatchedEvent:
    """An event to decode; `decode` and `check` raise MalformedEvent for a log that does not fit the ABI."""

    contract: str
    name: str
    decode: Callable[[Log], dict[str, Any]]
    check: Callable[[Log], None]
    is_anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Anonymous:
    """The anonymous events of a contract, by how many topics they have, and the first topics of all its other ones."""

    events: Mapping[int, WatchedEvent]
    named_topics: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Factory:
    """Contracts that others make: `creations`, by (address, topic 0), decode the event whose `argument` is the address
    of a new one; `events` are the new ones', by topic 0.
    """

    contract: str
    creations: Mapping[tuple[bytes, bytes], Callable[[Log], dict[str, Any]]]
    argument: str
    events: Mapping[bytes, WatchedEvent]


class Child(NamedTuple):
    """A contract that a factory made: its name in the file, and the block it was made in."""

    contract: str
    block_number: int


@dataclass(frozen=True, slots=True)
class ContractSet:
    """Contracts indexed together, under one cursor.

    `watched` is keyed by (address, topic 0), `anonymous` and `children` by address; the children are those that are
    known, and come from the tables.
    """

    name: str
    chain_id: int
    start_block: int
    watched: Mapping[tuple[bytes, bytes], WatchedEvent]
    anonymous: Mapping[bytes, Anonymous] = field(default_factory=dict)
    factories: tuple[Factory, ...] = ()
    children: Mapping[bytes, Child] = field(default_factory=dict)

    @property
    def addresses(self) -> list[bytes]:
        """The contracts of the file and the children, each once."""
        return sorted({address for address, _ in self.watched} | self.anonymous.keys() | self.children.keys())

    @property
    def topics(self) -> list[bytes]:
        """The first topics of events that have one of their own, each once."""
        made = {topic for factory in self.factories for topic in factory.events}
        return sorted({topic for _, topic in self.watched} | made)

    def pairs(self) -> Iterator[tuple[bytes, bytes | None]]:
        """What may be emitted and is wanted: address and first topic, None where any may come."""
        yield from self.watched
        yield from ((address, None) for address in self.anonymous)
        for factory in self.factories:
            for address, child in self.children.items():
                if child.contract == factory.contract:
                    yield from ((address, topic) for topic in factory.events)

    def with_children(self, children: Mapping[bytes, Child]) -> ContractSet:
        """The same, knowing these too."""
        return replace(self, children={**self.children, **children}) if children else self

    def find(self, log: Log) -> WatchedEvent | None:
        """The event that a log is; None when nobody asked for it."""
        topic = log.topics[0] if log.topics else b""
        found = self.watched.get((log.address, topic))
        if found is not None or not (self.children or self.anonymous):
            return found
        child = self.children.get(log.address)
        if child is not None and log.block_number >= child.block_number:
            events = (factory.events.get(topic) for factory in self.factories if factory.contract == child.contract)
            return next(events, None)
        anonymous = self.anonymous.get(log.address)
        if anonymous is None or topic in anonymous.named_topics:
            return None
        return anonymous.events.get(len(log.topics))


class Projection(Protocol):
    """Rows that are a fold of events: positions, totals. Both methods write through the session and never commit.

    Called inside the transaction that writes the events and moves the cursor, so each event is applied exactly once.
    """

    def apply(self, session: Session, events: Sequence[Event]) -> None:
        """Fold in further events, in the chain's order; only those that fit their ABI. Raises MalformedEvent, and has
        written nothing then, when it refuses one. An audit brings events that were
        missing, and are older than others already folded in: they count from their own place on.
        """

    def refusal(self, event: Event) -> str | None:
        """Why the event cannot be folded in; None when it can."""

    def rollback(self, session: Session, chain_id: int, from_block: int) -> None:
        """Undo all that came from blocks at or above `from_block`, whichever contract set brought it."""

    def forget(self, session: Session, chain_id: int, logs: Sequence[Log]) -> None:
        """Undo what came from these logs alone, which the chain never had and whose rows are gone; what came after them
        stays, and counts as if they had not been.
        """
