"""Feeds and prices, and what a price is good for: actions, their rules, verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from app.oracle.types.sources import Aggregate

AGGREGATE = "aggregate"
"""The source of a quote that is made of all of a symbol's sources; its feed has no id."""


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
    SEQUENCER_UNKNOWN = "sequencer_unknown"
    SEQUENCER_DOWN = "sequencer_down"
    SEQUENCER_STARTING = "sequencer_starting"
    JUMP_UNCONFIRMED = "jump_unconfirmed"
    FAR_FROM_AVERAGE = "far_from_average"
    DEVIATES = "deviates"


@dataclass(frozen=True, slots=True)
class ActionRule:
    """What one action asks of a price; None does not judge that side.

    `max_deviation_bps`: from the aggregate of its symbol. `max_average_multiple`: of its own moving average, or a part
    of it as small.
    """

    max_age_seconds: int | None
    max_confidence_bps: int | None
    max_deviation_bps: int | None = None
    max_average_multiple: int | None = None


@dataclass(frozen=True, slots=True)
class SequencerRule:
    """The chain whose sequencer must be up, for longer than `grace_seconds`, as told at most `max_age_seconds` ago."""

    chain_id: int
    grace_seconds: int
    max_age_seconds: int


@dataclass(frozen=True, slots=True)
class Rules:
    """The rule of every action, how far ahead of the clock a price may be dated, the sequencer's rule where the chain
    has one, the symbols that have an aggregate, and how old that may be.
    """

    actions: Mapping[Action, ActionRule]
    max_future_seconds: int
    sequencer: SequencerRule | None = None
    aggregated: frozenset[str] = frozenset()
    max_aggregate_age_seconds: int = 60


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
class Around:
    """What a price is judged by besides itself: the sequencer's verdict, None where it runs or there is none, and the
    recent aggregates by symbol.
    """

    sequencer: Validity | None = None
    aggregates: Mapping[str, Aggregate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quote:
    """The latest price of a feed, with what it is good for at `as_of`."""

    feed: Feed
    price: Price | None
    validity: Mapping[Action, Validity]
    as_of: datetime


class Interval(StrEnum):
    """How long a candle lasts. Each divides the day, and begins with it in UTC."""

    ONE_MINUTE = "1m"
    FIVE_MINUTES = "5m"
    QUARTER = "15m"
    HALF_HOUR = "30m"
    HOUR = "1h"
    FOUR_HOURS = "4h"
    DAY = "1d"

    @property
    def seconds(self) -> int:
        """Its length."""
        return int(self[:-1]) * {"m": 60, "h": 3600, "d": 86_400}[self[-1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candle:
    """A feed's recorded prices with opened_at ≤ publish time < opened_at + interval: exact decimals, and how many."""

    opened_at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    ticks: int
