"""Signed updates: what one holds, who is trusted, when it counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from app.oracle.types.prices import Price


@dataclass(frozen=True, slots=True)
class PriceMessage:
    """One feed's price as the publishers signed it: value = integer · 10^expo; times are Unix seconds."""

    feed: bytes
    price: int
    conf: int
    expo: int
    publish_time: int
    prev_publish_time: int
    ema_price: int
    ema_conf: int


@dataclass(frozen=True, slots=True)
class Leaf:
    """A message of an update with its path to the root; `price` is None for a message that is not a price."""

    message: bytes
    path: tuple[bytes, ...]
    price: PriceMessage | None


@dataclass(frozen=True, slots=True)
class Signature:
    """A guardian's signature: its place in the set, r and s (64 bytes), and the recovery id."""

    signer: int
    rs: bytes
    recovery: int


@dataclass(frozen=True, slots=True)
class Vaa:
    """A Wormhole message that carries a Merkle root; `body` is what was signed."""

    set_index: int
    signatures: tuple[Signature, ...]
    body: bytes
    timestamp: int
    nonce: int
    emitter_chain: int
    emitter: bytes
    sequence: int
    consistency: int
    slot: int
    ring_size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class ParsedUpdate:
    """A `PNAU` blob taken apart, nothing verified yet; `raw` is what goes on chain."""

    raw: bytes
    minor: int
    vaa: Vaa
    leaves: tuple[Leaf, ...]

    @property
    def prices(self) -> tuple[PriceMessage, ...]:
        """Its price messages, in the blob's order."""
        return tuple(leaf.price for leaf in self.leaves if leaf.price is not None)


@dataclass(frozen=True, slots=True)
class SignerSet:
    """Addresses (20 bytes) in the set's own order, and how many must have signed.

    `index` None accepts any set index; `expires_at` None never expires.
    """

    signers: tuple[bytes, ...]
    quorum: int
    index: int | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose updates count: one signer set, one emitter."""

    signers: SignerSet
    emitter_chain: int
    emitter: bytes


@dataclass(frozen=True, slots=True)
class Window:
    """How old, and how far ahead of the clock, a publish time may be (both ends included)."""

    max_age_seconds: int
    max_future_seconds: int


@dataclass(frozen=True, slots=True)
class VerifiedUpdate:
    """An update that passed every check: its prices, the addresses that signed, and where it stands in the stream."""

    raw: bytes
    prices: tuple[Price, ...]
    signers: tuple[bytes, ...]
    sequence: int
    slot: int


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """What a source gave for the feeds asked: updates to verify, and the feeds that it does not have."""

    updates: tuple[ParsedUpdate, ...]
    missing: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class TransactionUpdate:
    """Verified update bytes for a contract's `updatePriceFeeds`.

    `message_count` is what the contract charges for: fee = message_count · its unit fee, which the contract's
    `getUpdateFee(data)` tells exactly.
    """

    data: tuple[bytes, ...]
    message_count: int
    prices: tuple[Price, ...]


@dataclass(frozen=True, slots=True)
class RefreshSummary:
    """What a refresh did, by feed id: recorded, already known, or refused with the reason."""

    recorded: tuple[bytes, ...]
    unchanged: tuple[bytes, ...]
    refused: Mapping[bytes, str]
