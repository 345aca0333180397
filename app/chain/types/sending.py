"""The sender's words: its policy, a signer's state, what is signed, and what a look at the chain has seen.

Addresses are 20 bytes, hashes 32 bytes, money is int in wei.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from app.chain.types.transactions import Fees
from app.core.errors import AppError


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderPolicy:
    """The chain's tunables for sending, as values.

    `confirmations`: blocks on top of a transaction before its intent ends. `gas_margin_bps`: added to the node's
    estimate. `breaker_*`: reverted ones among at least so many mined within the window open the breaker.
    """

    chain_id: int
    confirmations: int
    dry_run: bool
    tip_percentile: int
    tip_floor_wei: int
    max_fee_wei: int
    gas_margin_bps: int
    max_spend_per_hour_wei: int
    breaker_min_mined: int
    breaker_max_reverted_bps: int
    resume_after_seconds: float
    rebroadcast_after_seconds: float
    replace_after_seconds: float
    max_live_intents: int
    max_nonce_gap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SignerState:
    """A signer's row: the next nonce to hand out, and whether it may."""

    chain_id: int
    address: bytes
    next_nonce: int
    seen_block: int
    halt_reason: str | None
    breaker_reason: str | None
    breaker_reset_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsignedTransaction:
    """What is signed."""

    chain_id: int
    nonce: int
    to: bytes
    value_wei: int
    data: bytes
    gas_limit: int
    fees: Fees


@dataclass(frozen=True, slots=True)
class SignedTransaction:
    """The bytes for the node, and the hash by which the chain will know them."""

    raw: bytes = field(repr=False)
    hash: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction's receipt. `status` 0 means that it reverted.

    `gas_price_wei` None: a node of before London, where each transaction pays the gas price that it was signed with.
    `data_fee_wei`: what a rollup of the OP stack takes besides, for its data on the chain below.
    """

    transaction_hash: bytes
    block_number: int
    block_hash: bytes
    status: int
    gas_used: int
    gas_price_wei: int | None
    data_fee_wei: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A signer's and the fee market's state at the node's head. `base_fee_wei` None: a legacy chain."""

    head: int
    base_fee_wei: int | None
    tip_wei: int
    gas_price_wei: int
    latest_nonce: int
    pending_nonce: int


@dataclass(frozen=True, slots=True)
class AccountState:
    """What a node says of an account at its head."""

    balance_wei: int
    latest_nonce: int
    pending_nonce: int


@dataclass(frozen=True, slots=True)
class Simulation:
    """What the node says that a call would do now: its gas, or why it fails."""

    gas_estimate: int | None
    failure: AppError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sightings:
    """What one tick saw of a signer's live transactions.

    `settled_nonce` is the signer's count at the newest block that is deep enough to end an intent. `canonical` holds
    the block hash, now, at each height where a receipt says that something was mined.
    """

    market: Market
    settled_nonce: int
    receipts: Mapping[bytes, Receipt]
    canonical: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Ledger:
    """A signer's recent past and its open commitments: what the breaker and the cost bound look at.

    `spent_wei`, `mined` and `reverted` count what ended within the window; `committed_wei` is the most that the live
    intents with a nonce may still take.
    """

    spent_wei: int
    committed_wei: int
    mined: int
    reverted: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchReport:
    """What one tick of the watcher found and did, for the job's result."""

    live: int = 0
    mined: int = 0
    ended: int = 0
    reopened: int = 0
    displaced: int = 0
    filled: int = 0
    signed: int = 0
    resent: int = 0
