"""What readers see of the indexer and of the signers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID


class Progress(NamedTuple):
    """How far a contract set is indexed: everything from `start_block` to below `next_block`; `tip_at` is the time of
    the block before it. `history_complete`: no back-fill still reads what lies below `start_block`.

    `final_block`: nothing at or below it is expected to change; None while no block was called final.
    """

    chain_id: int
    name: str
    start_block: int
    next_block: int
    tip_at: datetime | None
    head_block: int | None
    final_block: int | None
    rewinds: int
    checked_at: datetime
    halted_at: datetime | None
    halted_reason: str | None
    history_complete: bool

    @property
    def lag_blocks(self) -> int | None:
        """Blocks between what is indexed and the head as last seen; None before the first look."""
        return None if self.head_block is None else max(0, self.head_block - self.next_block + 1)


@dataclass(frozen=True, slots=True)
class RaisedAlarm:
    """An alarm as it stands: `count` times seen, still open while `resolved_at` is None."""

    id: UUID
    chain_id: int
    contract_set: str
    kind: str
    subject: str
    detail: dict[str, Any]
    count: int
    first_at: datetime
    last_at: datetime
    resolved_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerRow:
    """A signer's row as a person reads it, with its live transactions and when the oldest of them was planned."""

    chain_id: int
    address: bytes
    next_nonce: int
    seen_block: int
    halted_at: datetime | None
    halt_reason: str | None
    breaker_opened_at: datetime | None
    breaker_reason: str | None
    breaker_reset_at: datetime | None
    created_at: datetime
    transactions: int
    oldest_at: datetime | None
