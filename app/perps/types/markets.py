"""Markets: their terms, their funding, and the models that funding may follow. Rates are wad fractions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.perps.types.positions import Side


class Boundary(StrEnum):
    """Is a position exactly at its margin liquidatable? GMX and dYdX say no (`<`), Synthetix v2 yes (`<=`)."""

    BELOW = "<"
    AT_OR_BELOW = "<="


@dataclass(frozen=True, slots=True)
class Margin:
    """What a position must keep: `rate_wad` of its notional (the maintenance margin, and the liquidation fee where the
    protocol counts it in); which side of the boundary equality falls."""

    rate_wad: int
    boundary: Boundary

    def __post_init__(self) -> None:
        if not 0 <= self.rate_wad < 10**18:
            raise ValueError("a margin rate is a fraction of the notional, at least 0 and below 1")


@dataclass(frozen=True, slots=True)
class FundingTerms:
    """A running model of open interest's skew: the rate a second when all interest is on one side, and its bound."""

    factor_per_second_wad: int
    max_rate_per_second_wad: int


@dataclass(frozen=True, slots=True)
class FundingState:
    """A market's funding at `settled_at`: the interest the rate follows from, and what a unit of each side has owed
    since the start (a side that receives has a falling index)."""

    long_open_interest_wad: int
    short_open_interest_wad: int
    long_index_wad: int
    short_index_wad: int
    settled_at: datetime

    def index_wad(self, side: Side) -> int:
        """The index of one side."""
        return self.long_index_wad if side is Side.LONG else self.short_index_wad


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketTerms:
    """What the chain says of a market, as of its newest event on that; `price_feed` None: no price of its own."""

    symbol: str
    base_token: str
    quote_token: str
    price_feed: bytes | None
    max_leverage_wad: int
    maintenance_margin_rate_wad: int
    liquidation_fee_rate_wad: int
    open_fee_rate_wad: int
    close_fee_rate_wad: int
    funding: FundingTerms
    max_price_age_seconds: int
    max_confidence_bps: int

    @property
    def pair(self) -> str:
        """What the oracle calls its price: `BTC/USD`."""
        return f"{self.base_token}/{self.quote_token}"

    def get_feed(self) -> bytes:
        """The price feed; only asked for where there is one."""
        if self.price_feed is None:
            raise ValueError("the market has no price feed")
        return self.price_feed


@dataclass(frozen=True, slots=True, kw_only=True)
class Market:
    """A market as the events so far have left it; `current_rate_wad` is the rate a second that accrues now."""

    protocol: str
    market_id: str
    terms: MarketTerms
    funding: FundingState
    current_rate_wad: int
    terms_changed_at: datetime
    listed_at: datetime
    listed_block_number: int
