"""What is read from a chain: headers, logs, decoded events, and the contracts they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

# Headers, logs and events come by the hundred thousand: msgspec structs are made in a tenth of a dataclass's time.


class Header(msgspec.Struct, frozen=True, gc=False):
    """A block's place in its chain. `timestamp` is in seconds since 1970.

    `logs_bloom` (256 bytes) and `receipts_root` (32) are what its logs are checked by; empty where the node gives none.
    """

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int
    logs_bloom: bytes = b""
    receipts_root: bytes = b""


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


@dataclass(frozen=True, slots=True)
class ContractSet:
    """Contracts indexed together, under one cursor. `watched` is keyed by (address, topic 0)."""

    name: str
    chain_id: int
    start_block: int
    watched: Mapping[tuple[bytes, bytes], WatchedEvent]

    @property
    def addresses(self) -> list[bytes]:
        """The contracts, each once."""
        return sorted({address for address, _ in self.watched})

    @property
    def topics(self) -> list[bytes]:
        """The first topics, each once."""
        return sorted({topic for _, topic in self.watched})


class Projection(Protocol):
    """Rows that are a fold of events: positions, totals. Both methods write through the session and never commit.

    Called inside the transaction that writes the events and moves the cursor, so each event is applied exactly once.
    """

    def apply(self, session: Session, events: Sequence[Event]) -> None:
        """Fold in further events, in the chain's order; only those that fit their ABI. An audit brings events that were
        missing, and are older than others already folded in: they count from their own place on.
        """

    def rollback(self, session: Session, chain_id: int, from_block: int) -> None:
        """Undo all that came from blocks at or above `from_block`, whichever contract set brought it."""
