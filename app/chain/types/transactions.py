"""A transaction's words: intents, their statuses and transitions, attempts, fees.

Addresses are 20 bytes, hashes 32 bytes, money is int in wei.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class IntentStatus(StrEnum):
    """Where an intent is. `planned` owns no nonce yet; `reserved` to `mined` own one, and it will be used."""

    PLANNED = "planned"
    RESERVED = "reserved"
    SIGNED = "signed"
    BROADCAST = "broadcast"
    MINED = "mined"
    FINAL = "final"
    REVERTED = "reverted"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REHEARSED = "rehearsed"


# Every transition there is; the database's trigger holds the same table, and a test compares them.
# Back to `planned` (or to `cancelled`) from a status with a nonce: only when another transaction, by now final, has
# used that nonce. `mined` to `broadcast`: a reorg took the block away.
TRANSITIONS: Mapping[IntentStatus, frozenset[IntentStatus]] = {
    IntentStatus.PLANNED: frozenset(
        {IntentStatus.RESERVED, IntentStatus.FAILED, IntentStatus.CANCELLED, IntentStatus.REHEARSED}
    ),
    IntentStatus.RESERVED: frozenset({IntentStatus.SIGNED, IntentStatus.PLANNED, IntentStatus.CANCELLED}),
    IntentStatus.SIGNED: frozenset(
        {IntentStatus.BROADCAST, IntentStatus.MINED, IntentStatus.PLANNED, IntentStatus.CANCELLED}
    ),
    IntentStatus.BROADCAST: frozenset({IntentStatus.MINED, IntentStatus.PLANNED, IntentStatus.CANCELLED}),
    IntentStatus.MINED: frozenset(
        {IntentStatus.BROADCAST, IntentStatus.FINAL, IntentStatus.REVERTED, IntentStatus.CANCELLED}
    ),
    IntentStatus.FINAL: frozenset(),
    IntentStatus.REVERTED: frozenset(),
    IntentStatus.FAILED: frozenset(),
    IntentStatus.CANCELLED: frozenset(),
    IntentStatus.REHEARSED: frozenset(),
}
TERMINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)
LIVE = frozenset(IntentStatus) - TERMINAL
SENDABLE = frozenset({IntentStatus.SIGNED, IntentStatus.BROADCAST})


class Effect(StrEnum):
    """What an attempt does with its nonce: the intent's own call, or nothing (a transfer of 0 to ourselves)."""

    CALL = "call"
    CANCEL = "cancel"


class AttemptOutcome(StrEnum):
    """What became of an attempt. `beaten`: its nonce was used by another, final transaction. `lost`: reorged below
    finality, after its intent had ended."""

    SIGNED = "signed"
    SENT = "sent"
    MINED = "mined"
    BEATEN = "beaten"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Fees:
    """The price of a unit of gas. `tip_wei` None: a legacy chain, where `max_fee_wei` is the gas price."""

    max_fee_wei: int
    tip_wei: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """One effect wanted on a chain, as its row says."""

    id: UUID
    chain_id: int
    signer: bytes
    action: str
    subject: str
    purpose: str
    to: bytes
    data: bytes
    value_wei: int
    gas_ceiling: int | None
    fee_cap_wei: int | None
    expires_at: datetime | None
    job_id: UUID | None
    status: IntentStatus
    nonce: int | None
    reserved_block: int | None
    gas_limit: int | None
    max_cost_wei: int | None
    cancel_reason: str | None
    error: Mapping[str, Any] | None
    transaction_hash: bytes | None
    block_number: int | None
    block_hash: bytes | None
    receipt_status: int | None
    spent_wei: int | None
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @property
    def effect(self) -> Effect:
        """What its next attempt does."""
        return Effect.CALL if self.cancel_reason is None else Effect.CANCEL


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentFilter:
    """Which intents a reader wants; None leaves a field open."""

    status: IntentStatus | None = None
    action: str | None = None
    subject: str | None = None
    signer: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One signed transaction, persisted before it was ever sent."""

    intent_id: UUID
    number: int
    chain_id: int
    signer: bytes
    nonce: int
    effect: Effect
    hash: bytes
    raw: bytes = field(repr=False)
    gas_limit: int
    fees: Fees
    created_at: datetime
    first_broadcast_at: datetime | None
    last_broadcast_at: datetime | None
    outcome: AttemptOutcome
    refusal: str | None
