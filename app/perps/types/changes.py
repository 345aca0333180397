"""Events in our own words and units: what a fold is made of. Amounts are wad."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from app.perps.types.orders import OrderKind
from app.perps.types.positions import Place, PnlEntry, Side
from app.perps.types.vocabulary import Effect, Mode

Terms = Mapping[str, int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketChange:
    """A market is listed, or its terms change: `terms` by the vocabulary's words, only those that the event has."""

    market_id: str
    place: Place
    terms: Terms
    price_feed: bytes | None = None


class Indexes(NamedTuple):
    """A market's funding indexes at some moment: quote a unit of base, owed since the start."""

    long_wad: int
    short_wad: int

    def of(self, side: Side) -> int:
        """The index of one side."""
        return self.long_wad if side is Side.LONG else self.short_wad


@dataclass(frozen=True, slots=True, kw_only=True)
class PositionChange:
    """Something happened to a position. What its event does not say is None, or nothing for a payment.

    `price_wad` is what a change of size was traded at; `realized_pnl_wad` None: it follows from that. `indexes` are the
    market's funding indexes then, where we settle funding ourselves; None where the contract's events say what is paid.
    """

    key: str
    market_id: str
    effect: Effect
    mode: Mode
    place: Place
    owner: bytes | None = None
    side: Side | None = None
    size_wad: int | None = None
    notional_wad: int | None = None
    open_notional_wad: int | None = None
    collateral_wad: int | None = None
    entry_price_wad: int | None = None
    entry_funding_index_wad: int | None = None
    exit_price_wad: int | None = None
    price_wad: int | None = None
    indexes: Indexes | None = None
    realized_pnl_wad: int | None = None
    funding_paid_wad: int = 0
    fee_wad: int = 0
    liquidator: bytes | None = None
    bad_debt_wad: int = 0
    insurance_paid_wad: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderChange:
    """Something happened to an order. `position_key` None: the event names none, or none yet."""

    key: str
    market_id: str
    effect: Effect
    place: Place
    position_key: str | None = None
    owner: bytes | None = None
    order_kind: OrderKind | None = None
    side: Side | None = None
    size_wad: int | None = None
    collateral_wad: int = 0
    trigger_price_wad: int | None = None
    acceptable_price_wad: int | None = None
    execution_fee_wad: int = 0
    expires_at: datetime | None = None
    price_wad: int | None = None
    keeper: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingEntry:
    """A market's funding was settled on chain; `rate_wad` is a second's, positive when longs pay."""

    market_id: str
    place: Place
    rate_wad: int
    long_index_wad: int
    short_index_wad: int
    long_open_interest_wad: int | None
    short_open_interest_wad: int | None
    price_wad: int
    elapsed_seconds: int
    settled_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Premium:
    """A market's funding was settled on chain by these two prices, in quote a unit of base."""

    market_id: str
    place: Place
    market_price_wad: int
    price_wad: int


@dataclass(slots=True)
class Changes:
    """The readings of some events, each kind in the chain's order."""

    markets: list[MarketChange] = field(default_factory=list)
    positions: list[PositionChange] = field(default_factory=list)
    funding: list[FundingEntry] = field(default_factory=list)
    premiums: list[Premium] = field(default_factory=list)
    accounts: list[PnlEntry] = field(default_factory=list)
    orders: list[OrderChange] = field(default_factory=list)
