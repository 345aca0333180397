"""Sources and what they come to: what each said, what stands of it, the aggregate with its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


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


@dataclass(frozen=True, slots=True)
class Book:
    """The best of an exchange's order book; `observed_at` None: it tells no time, and the answer's is taken."""

    bid: Decimal
    ask: Decimal
    observed_at: datetime | None = None
    halted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A source's latest price, or none, on its way into an aggregate; all in wad.

    `flaw`: why it is not used; of a price that is used, why there is no newer one, if there is a reason.
    """

    source: str
    price_wad: int | None
    confidence_wad: int
    observed_at: datetime | None
    heartbeat_seconds: int
    weight: int
    flaw: Flaw | None = None
    used: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregationRules:
    """Every number of the aggregation; `app/oracle/maths/aggregation.py` says what each is for."""

    heartbeat_multiple: Decimal
    max_age_seconds: int
    max_future_seconds: int
    outlier_min_quotes: int
    outlier_multiple: Decimal
    outlier_floor_bps: int
    max_weight_bps: int
    min_sources: int
    max_jump_bps: int
    ema_halflife_seconds: int


class NoPrice(StrEnum):
    """Why an aggregation came to no price."""

    TOO_FEW_SOURCES = "too_few_sources"
    JUMP_UNCONFIRMED = "jump_unconfirmed"


@dataclass(frozen=True, slots=True)
class AggregateState:
    """What one aggregation hands to the next: the last good price with its time, its average, and a jump that waits to
    be confirmed.
    """

    last_wad: int | None = None
    last_at: datetime | None = None
    ema_wad: int | None = None
    pending_wad: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """What the sources of a symbol come to at `as_of`, with every input and its verdict: a price, or why not."""

    symbol: str
    as_of: datetime
    price_wad: int | None
    confidence_wad: int | None
    reason: NoPrice | None
    sources: tuple[Candidate, ...]
    state: AggregateState


@dataclass(frozen=True, slots=True)
class SourceRule:
    """How often a source of a symbol is renewed, and how much it counts."""

    heartbeat_seconds: int
    weight: int
