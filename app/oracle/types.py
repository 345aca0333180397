"""The words of the oracle: what an update holds, who is trusted, what a price is, what it is good for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """A verified price. Value = price · 10^expo and its interval ± conf · 10^expo, all exact integers."""

    feed: bytes
    price: int
    conf: int
    expo: int
    publish_time: datetime
    ema_price: int
    ema_conf: int
    slot: int
    sequence: int


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


class Action(StrEnum):
    """What somebody wants to do with a price; each has a rule of its own."""

    OPEN = "open"
    MARGIN = "margin"
    LIQUIDATE = "liquidate"
    FUNDING = "funding"


class Validity(StrEnum):
    """May this price be used for this action, and if not, why."""

    FRESH = "fresh"
    STALE = "stale"
    CONFIDENCE_TOO_WIDE = "confidence_too_wide"
    NOT_POSITIVE = "not_positive"
    FROM_THE_FUTURE = "from_the_future"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class ActionRule:
    """What one action asks of a price; None does not judge that side."""

    max_age_seconds: int | None
    max_confidence_bps: int | None


@dataclass(frozen=True, slots=True)
class Rules:
    """The rule of every action, and how far ahead of the clock a price may be dated."""

    actions: Mapping[Action, ActionRule]
    max_future_seconds: int


@dataclass(frozen=True, slots=True)
class Feed:
    """A price feed this deployment follows: 32-byte id, symbol like `BTC/USD`, and the source that serves it."""

    id: bytes
    symbol: str
    source: str = "pyth"


@dataclass(frozen=True, slots=True)
class FeedPrice:
    """A feed with its latest price; None until the first one."""

    feed: Feed
    price: Price | None


@dataclass(frozen=True, slots=True)
class Quote:
    """The latest price of a feed, with what it is good for at `as_of`."""

    feed: Feed
    price: Price | None
    validity: Mapping[Action, Validity]
    as_of: datetime


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


class Flaw(StrEnum):
    """Why a source's price is not used. `unavailable` and `refused` are the supplier's silence and say nothing of its
    last price; every other one is about what it said.
    """

    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    ANSWER_INVALID = "answer_invalid"
    REVERTED = "reverted"
    NOT_POSITIVE = "not_positive"
    ROUND_INCOMPLETE = "round_incomplete"
    EARLIER_PHASE = "earlier_phase"
    EARLIER_ROUND = "earlier_round"
    HALTED = "halted"
    BOOK_EMPTY = "book_empty"
    BOOK_CROSSED = "book_crossed"
    FROM_THE_FUTURE = "from_the_future"
    STALE = "stale"
    OUTLIER = "outlier"
    MISSING = "missing"


SILENT = frozenset({Flaw.UNAVAILABLE, Flaw.REFUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a source said of a symbol's price when it was asked: price and half width, or its flaw.

    `observed_at` is the source's own time where it tells one. `round_id` is Chainlink's, and never goes back.
    """

    symbol: str
    source: str
    price: Decimal | None = None
    confidence: Decimal | None = None
    observed_at: datetime | None = None
    round_id: int | None = None
    flaw: Flaw | None = None


@dataclass(frozen=True, slots=True)
class Round:
    """The latest round of a Chainlink feed as its proxy tells it: integers, times in Unix seconds.

    `phase` is the proxy's present one; None for an aggregator without a proxy.
    """

    round_id: int
    answer: int
    started_at: int
    updated_at: int
    decimals: int
    phase: int | None


@dataclass(frozen=True, slots=True)
class ChainlinkFeed:
    """A feed of Chainlink's: its proxy's (or aggregator's) 20 bytes of address, and how often it must be renewed."""

    symbol: str
    address: bytes
    heartbeat_seconds: int


@dataclass(frozen=True, slots=True)
class Uptime:
    """What a sequencer-uptime feed said when it was asked: is the sequencer up, and since when is that so."""

    up: bool
    since: datetime
    asked_at: datetime
