"""The oracle's tables. Prices are exact integers with their exponent, as they were signed; never floats."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Integer,
    LargeBinary,
    Numeric,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base

# An unsigned 64-bit integer, which a bigint cannot hold.
Unsigned64 = Numeric(20, 0)
Moment = TIMESTAMP(timezone=True)
Whole = Numeric(78, 0)


class OracleFeed(Base):
    """A feed this deployment follows, with its latest price for quick reading.

    One row a feed: grows with the markets, not with time. The price columns are all empty until the first price.
    """

    __tablename__ = "oracle_feeds"
    __table_args__ = (
        CheckConstraint("octet_length(id) = 32", name="id_length"),
        CheckConstraint("source IN ('pyth')", name="source"),
        CheckConstraint(
            "num_nulls(price, conf, expo, publish_time, ema_price, ema_conf, slot, sequence) IN (0, 8)",
            name="price_whole",
        ),
        UniqueConstraint("symbol", name="uq_oracle_feeds_symbol"),
    )

    id: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    symbol: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    price: Mapped[int | None] = mapped_column(BigInteger)
    conf: Mapped[Decimal | None] = mapped_column(Unsigned64)
    expo: Mapped[int | None] = mapped_column(Integer)
    publish_time: Mapped[datetime | None] = mapped_column(Moment)
    ema_price: Mapped[int | None] = mapped_column(BigInteger)
    ema_conf: Mapped[Decimal | None] = mapped_column(Unsigned64)
    slot: Mapped[Decimal | None] = mapped_column(Unsigned64)
    sequence: Mapped[Decimal | None] = mapped_column(Unsigned64)


class OraclePrice(Base):
    """The history: one row a feed and publish time, in a partition a month (`oracle_prices_pYYYYMM`).

    Grows by one row a feed and refresh (8,640 a day at 10 s, 2.3 MB with its index); whole months are
    made and dropped by `ops.prune`, and the default partition takes what has no month yet.
    """

    __tablename__ = "oracle_prices"
    __table_args__ = ({"postgresql_partition_by": "RANGE (publish_time)"},)

    feed: Mapped[bytes] = mapped_column(ForeignKey("oracle_feeds.id"), primary_key=True)
    publish_time: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    price: Mapped[int] = mapped_column(BigInteger)
    conf: Mapped[Decimal] = mapped_column(Unsigned64)
    expo: Mapped[int] = mapped_column(Integer)
    ema_price: Mapped[int] = mapped_column(BigInteger)
    ema_conf: Mapped[Decimal] = mapped_column(Unsigned64)
    slot: Mapped[Decimal] = mapped_column(Unsigned64)
    sequence: Mapped[Decimal] = mapped_column(Unsigned64)


class OracleCandle(Base):
    """The prices of a feed that fall into one interval, in a partition a month.

    Written with each price that enters the history, so it never says more or less than the history. `first_at` and
    `last_at` are the times of the prices that opened and closed it. One row an interval in which there was a price:
    2,000 a day and feed, 0.4 MB with its index.
    """

    __tablename__ = "oracle_candles"
    __table_args__ = (
        CheckConstraint(
            "low <= least(open, close) AND greatest(open, close) <= high AND ticks >= 1 AND first_at <= last_at",
            name="shape",
        ),
        {"postgresql_partition_by": "RANGE (opened_at)"},
    )

    feed: Mapped[bytes] = mapped_column(ForeignKey("oracle_feeds.id"), primary_key=True)
    interval_seconds: Mapped[int] = mapped_column(Integer, primary_key=True)
    opened_at: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    open: Mapped[Decimal] = mapped_column(Numeric)
    high: Mapped[Decimal] = mapped_column(Numeric)
    low: Mapped[Decimal] = mapped_column(Numeric)
    close: Mapped[Decimal] = mapped_column(Numeric)
    first_at: Mapped[datetime] = mapped_column(Moment)
    last_at: Mapped[datetime] = mapped_column(Moment)
    ticks: Mapped[int] = mapped_column(Integer)


class OracleQuote(Base):
    """What each source beside Pyth last said of a symbol. One row a symbol and source.

    `flaw` is of the last asking; the price is the last one that still stands, and is empty when none does.
    """

    __tablename__ = "oracle_quotes"
    __table_args__ = (
        CheckConstraint("num_nulls(price, confidence, observed_at) IN (0, 3)", name="price_whole"),
        CheckConstraint("price IS NOT NULL OR flaw IS NOT NULL", name="price_or_flaw"),
    )

    symbol: Mapped[str] = mapped_column(Text, primary_key=True)
    source: Mapped[str] = mapped_column(Text, primary_key=True)
    price: Mapped[Decimal | None] = mapped_column(Numeric)
    confidence: Mapped[Decimal | None] = mapped_column(Numeric)
    observed_at: Mapped[datetime | None] = mapped_column(Moment)
    round_id: Mapped[Decimal | None] = mapped_column(Whole)
    flaw: Mapped[str | None] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(Moment)


class OracleAggregate(Base):
    """What a symbol's sources came to, with all that went in: a row a symbol and round, in a partition a day.

    `price` and `confidence` are in wad, and `reason` says why there are none; `last`, `ema` and `pending` (wad too) are
    what the next round starts from. About 1 KB a row, so 9 MB a symbol and day at 10 s.
    """

    __tablename__ = "oracle_aggregates"
    __table_args__ = (
        CheckConstraint(
            "num_nulls(price, confidence) IN (0, 2) AND (price IS NULL) = (reason IS NOT NULL)", name="price_or_reason"
        ),
        {"postgresql_partition_by": "RANGE (as_of)"},
    )

    symbol: Mapped[str] = mapped_column(Text, primary_key=True)
    as_of: Mapped[datetime] = mapped_column(Moment, primary_key=True)
    price: Mapped[Decimal | None] = mapped_column(Whole)
    confidence: Mapped[Decimal | None] = mapped_column(Whole)
    reason: Mapped[str | None] = mapped_column(Text)
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    last: Mapped[Decimal | None] = mapped_column(Whole)
    last_at: Mapped[datetime | None] = mapped_column(Moment)
    ema: Mapped[Decimal | None] = mapped_column(Whole)
    pending: Mapped[Decimal | None] = mapped_column(Whole)


class OracleSequencer(Base):
    """What a rollup's sequencer-uptime feed last said, a row a chain."""

    __tablename__ = "oracle_sequencers"

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    up: Mapped[bool] = mapped_column(Boolean)
    since: Mapped[datetime] = mapped_column(Moment)
    asked_at: Mapped[datetime] = mapped_column(Moment)
