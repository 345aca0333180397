"""Health: certain, uncertain or safe, as of a price and its confidence; never a guess where there is no price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from app.perps.types.markets import FundingState, Margin
from app.perps.types.positions import Position, Prospects


class Verdict(StrEnum):
    """May the position be liquidated? `certain`: at both ends of the price's confidence interval; `safe`: at neither;
    `uncertain`: at one, so the contract must be asked."""

    CERTAIN = "certain"
    UNCERTAIN = "uncertain"
    SAFE = "safe"


class End(StrEnum):
    """A point of a price's confidence interval."""

    LOW = "low"
    MIDDLE = "middle"
    HIGH = "high"


@dataclass(frozen=True, slots=True)
class Point:
    """A price, and the market's funding as it would be, accrued to now at that price."""

    price_wad: int
    funding: FundingState


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketView:
    """A market at one moment and one verified price: what every position in it is judged by.

    `provisional` is its funding as it would be settled: now, or where we settle ourselves at the next slot,
    `settles_at`; positions owe nothing of that yet there.
    """

    protocol: str
    market_id: str
    margin: Margin
    points: Mapping[End, Point]
    provisional: FundingState
    settles_at: datetime | None
    published_at: datetime
    as_of: datetime

    @property
    def price_wad(self) -> int:
        """The price itself, without its confidence."""
        return self.points[End.MIDDLE].price_wad


MarketKey = tuple[str, str]  # protocol and market


@dataclass(frozen=True, slots=True)
class Views:
    """The markets that can be judged now, and why the others cannot: the oracle's word for what is wrong with their
    price. Nothing is ever judged by such a price."""

    priced: Mapping[MarketKey, MarketView]
    unpriced: Mapping[MarketKey, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """A position judged. Worth, factor and prices are those at the price itself, the verdict that of the interval.

    `health_factor` None: infinite. `liquidation_price_wad` None: no price endangers it. `shortfall_wad` is what equity
    lacks of the margin, negative where there is room.
    """

    position: Position
    verdict: Verdict
    prospects: Prospects
    health_factor: Decimal | None
    liquidation_price_wad: int | None
    bankruptcy_price_wad: int | None
    price_wad: int
    published_at: datetime
    as_of: datetime

    @property
    def shortfall_wad(self) -> int:
        """What equity lacks of the margin."""
        return self.prospects.maintenance_wad - self.prospects.equity_wad


@dataclass(frozen=True, slots=True)
class Judged:
    """A position with its health, or with the reason why it has none now: the price's, `cross_margin`, or `ended`."""

    position: Position
    health: Health | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Candidates:
    """The endangered positions a scan found, the most urgent first; `cut`: there were more than it may take."""

    found: tuple[Health, ...]
    cut: bool
