"""Stored events as readers ask for them, and as they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from app.chain.types.blocks import Log

INDEX_MAX = 2**31 - 1
BLOCK_MAX = 2**62

Topics = tuple[bytes | None, bytes | None, bytes | None]
"""What the topics after the first must be; None: whatever they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """What a list is narrowed to, as readers say it: a contract's name or address, an event's name, blocks counted in,
    and what indexed arguments must be, as text.
    """

    protocol: str | None = None
    contract: str | None = None
    event: str | None = None
    from_block: int | None = None
    to_block: int | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    newest_first: bool = True


class Walk(NamedTuple):
    """A part of the index by contract and event: one address, one first topic; what the other topics must be."""

    address: bytes
    topic0: bytes
    topics: Topics


class Span(NamedTuple):
    """Places (block, log index) between two, neither counted in."""

    low: tuple[int, int]
    high: tuple[int, int]
    newest_first: bool


class StoredLog(NamedTuple):
    """A row of chain_events; `is_last` when its walk stopped there and there may be more."""

    log: Log
    mined_at: datetime
    matches: bool
    is_last: bool

    @property
    def place(self) -> tuple[int, int]:
        """Where in the chain it stands."""
        return self.log.block_number, self.log.log_index


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownEvent:
    """An event by the present ABI; `args` is None, and `decode_error` says why, when it does not fit."""

    protocol: str
    chain_id: int
    contract: str
    event: str
    log: Log
    mined_at: datetime
    args: Mapping[str, Any] | None
    decode_error: str | None
