"""Settings of the price sources beside Pyth, of what they come to, and of the sequencer."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from config.group import Group


class SequencerSettings(Group):
    """The sequencer of a rollup: while it does not run, no price is good for anything."""

    feed: str | None = Field(
        None, pattern=r"^0x[0-9a-fA-F]{40}$", description="Chainlink's uptime feed of the chain; unset: not looked at"
    )
    grace_seconds: int = Field(3600, ge=0, description="after a start, prices are not used for so long")
    max_age_seconds: int = Field(60, ge=1, description="an answer of the feed older than this is none")


Symbol = Annotated[str, Field(min_length=1, max_length=100)]


class ChainlinkFeedSettings(Group):
    """A Chainlink feed that counts for a symbol."""

    symbol: Symbol
    address: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    heartbeat_seconds: int = Field(ge=1)


class TickerSettings(Group):
    """An exchange's market that counts for a symbol, by the exchange's name for it."""

    symbol: Symbol
    exchange: Literal["binance", "coinbase", "kraken"]
    market: str = Field(pattern=r"^[A-Za-z0-9._-]{1,40}$")


class SourcesSettings(Group):
    """Sources beside Pyth, all of them optional; see docs/prices.md."""

    chainlink: tuple[ChainlinkFeedSettings, ...] = Field(
        (), description='JSON: `[{"symbol": "ETH/USD", "address": "0x...", "heartbeat_seconds": 3600}]`'
    )
    tickers: tuple[TickerSettings, ...] = Field(
        (), description='JSON: `[{"symbol": "ETH/USD", "exchange": "kraken", "market": "XETHZUSD"}]`'
    )
    binance_url: str = Field("https://api.binance.com", pattern=r"^https?://[^\s?#]+$", description="Binance's REST")
    coinbase_url: str = Field(
        "https://api.exchange.coinbase.com", pattern=r"^https?://[^\s?#]+$", description="Coinbase Exchange's REST"
    )
    kraken_url: str = Field("https://api.kraken.com", pattern=r"^https?://[^\s?#]+$", description="Kraken's REST")
    timeout_seconds: float = Field(3.0, gt=0, description="the whole of one request to an exchange")
    seconds: int = Field(10, ge=1, description="between two askings of all of them")

    @model_validator(mode="after")
    def _one_of_each(self) -> SourcesSettings:
        feeds = [feed.symbol for feed in self.chainlink]
        tickers = [(ticker.symbol, ticker.exchange) for ticker in self.tickers]
        if len(set(feeds)) != len(feeds) or len(set(tickers)) != len(tickers):
            raise ValueError("a source is named twice for a symbol")
        return self


class AggregationSettings(Group):
    """How sources become one price; see docs/prices.md."""

    pyth_heartbeat_seconds: int = Field(30, ge=1, description="how often Pyth's price must be renewed")
    exchange_heartbeat_seconds: int = Field(30, ge=1, description="how often an exchange's")
    heartbeat_multiple: Decimal = Field(
        Decimal("1.5"), ge=1, le=10, description="a price may be so many heartbeats old"
    )
    max_age_seconds: int = Field(5400, ge=1, description="and never older than this")
    pyth_weight: int = Field(2, ge=1, le=1000, description="how much Pyth counts")
    chainlink_weight: int = Field(2, ge=1, le=1000, description="how much Chainlink")
    exchange_weight: int = Field(1, ge=1, le=1000, description="how much each exchange")
    max_weight_bps: int = Field(4999, ge=1, le=4999, description="the most one source may weigh, of all that count")
    outlier_min_quotes: int = Field(4, ge=3, description="with fewer nobody is called an outlier")
    outlier_multiple: Decimal = Field(Decimal(4), gt=0, le=100, description="of the scaled MAD; further off is cut")
    outlier_floor_bps: int = Field(10, ge=0, le=10_000, description="nearer to the median than this nothing is cut")
    min_sources: int = Field(2, ge=1, description="with fewer there is no price")
    max_jump_bps: int = Field(1000, ge=1, description="a larger jump needs a second round that agrees")
    ema_halflife_seconds: int = Field(300, ge=1, description="of the average that jumps are held against")
    max_shown_age_seconds: int = Field(60, ge=1, description="an older aggregate is not held against Pyth's price")
    keep_days: int = Field(30, ge=2, description="days for which each round's inputs are kept")
