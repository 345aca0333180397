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
    text,
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
    terms_changed_at: Mapped[datetime] = mapped_column(Moment)
    listed_block_number: Mapped[int] = mapped_column(BigInteger)


class PerpsFundingRate(Base):
    """A settlement of funding, as the chain told of it or as we computed it. `funding_rate_wad` is a second's, positive
    when longs pay; the interests are those it was computed from.

    One of our own stands before the first event of a block above its moment (log index -1, no transaction): what undoes
    that block undoes it. Grows by one row a settlement: at least one a market and hour.
    """

    __tablename__ = "perps_funding_rates"
    __table_args__ = (
        CheckConstraint("(transaction_hash IS NULL) = (log_index = -1)", name="computed"),
        Index("ix_perps_funding_rates_settled", "settled_at", "protocol", "market_id", "block_number", "log_index"),
        Index("ix_perps_funding_rates_block", "protocol", "block_number"),
        # A slot of a market is settled by us once.
        Index(
            "uq_perps_funding_rates_slot",
            "protocol",
            "market_id",
            "settled_at",
            unique=True,
            postgresql_where=text("log_index = -1"),
        ),
    )

    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    market_id: Mapped[str] = mapped_column(Text, primary_key=True)
    settled_at: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    block_number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    log_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    funding_rate_wad: Mapped[Decimal] = mapped_column(Wad)
    long_index_wad: Mapped[Decimal] = mapped_column(Wad)
    short_index_wad: Mapped[Decimal] = mapped_column(Wad)
    long_oi_wad: Mapped[Decimal | None] = mapped_column(Wad)
    short_oi_wad: Mapped[Decimal | None] = mapped_column(Wad)
    price_wad: Mapped[Decimal] = mapped_column(Wad)
    elapsed_seconds: Mapped[int] = mapped_column(BigInteger)
    block_hash: Mapped[bytes] = mapped_column(LargeBinary)
    transaction_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
