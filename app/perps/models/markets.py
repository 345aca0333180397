"""Markets and their settled funding."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    Text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base

# A contract's word: 256 bits, signed or not.
Wad = Numeric(78, 0)
Moment = TIMESTAMP(timezone=True)


class PerpsMarket(Base):
    """A market: the newest terms the chain told of, its open interest, and its funding as last settled.

    Grows with listings. `current_funding_rate_wad` is the rate a second that accrues now, by the present open interest;
    the totals are kept by what each fold changes, in O(positions touched).
    """

    __tablename__ = "perps_markets"
    __table_args__ = (CheckConstraint("octet_length(pyth_price_id) = 32", name="price_id"),)

    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    market_id: Mapped[str] = mapped_column(Text, primary_key=True)
    symbol: Mapped[str] = mapped_column(Text)
    base_token: Mapped[str] = mapped_column(Text)
    quote_token: Mapped[str] = mapped_column(Text)
    pyth_price_id: Mapped[bytes | None] = mapped_column(LargeBinary)
    max_leverage_wad: Mapped[Decimal] = mapped_column(Wad)
    maintenance_margin_rate_wad: Mapped[Decimal] = mapped_column(Wad)
    liquidation_fee_rate_wad: Mapped[Decimal] = mapped_column(Wad)
    open_fee_rate_wad: Mapped[Decimal] = mapped_column(Wad)
    close_fee_rate_wad: Mapped[Decimal] = mapped_column(Wad)
    funding_factor_per_second_wad: Mapped[Decimal] = mapped_column(Wad)
    max_funding_rate_per_second_wad: Mapped[Decimal] = mapped_column(Wad)
    max_price_age_seconds: Mapped[int] = mapped_column(BigInteger)
    max_confidence_bps: Mapped[int] = mapped_column(Integer)
    total_long_wad: Mapped[Decimal] = mapped_column(Wad)
    total_short_wad: Mapped[Decimal] = mapped_column(Wad)
    current_funding_rate_wad: Mapped[Decimal] = mapped_column(Wad)
    long_funding_index_wad: Mapped[Decimal] = mapped_column(Wad)
    short_funding_index_wad: Mapped[Decimal] = mapped_column(Wad)
    last_funding_update: Mapped[datetime] = mapped_column(Moment)
    listed_at: Mapped[datetime] = mapped_column(Moment)
    listed_block_number: Mapped[int] = mapped_column(BigInteger)


class PerpsFundingRate(Base):
    """A settlement of funding, as the chain told of it. `funding_rate_wad` is a second's, positive when longs pay; the
    interests are those it was computed from.

    Grows by one row a settlement: at most one a market and block, at least one a market and hour.
    """

    __tablename__ = "perps_funding_rates"
    __table_args__ = (
        Index("ix_perps_funding_rates_settled", "settled_at", "protocol", "block_number", "log_index"),
        Index("ix_perps_funding_rates_market", "protocol", "market_id", "settled_at", "block_number", "log_index"),
    )

    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    block_number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    log_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    market_id: Mapped[str] = mapped_column(Text)
    funding_rate_wad: Mapped[Decimal] = mapped_column(Wad)
    long_index_wad: Mapped[Decimal] = mapped_column(Wad)
    short_index_wad: Mapped[Decimal] = mapped_column(Wad)
    long_oi_wad: Mapped[Decimal | None] = mapped_column(Wad)
    short_oi_wad: Mapped[Decimal | None] = mapped_column(Wad)
    price_wad: Mapped[Decimal] = mapped_column(Wad)
    elapsed_seconds: Mapped[int] = mapped_column(BigInteger)
    settled_at: Mapped[datetime] = mapped_column(Moment)
    block_hash: Mapped[bytes] = mapped_column(LargeBinary)
    transaction_hash: Mapped[bytes] = mapped_column(LargeBinary)
