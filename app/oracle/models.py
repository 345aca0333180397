"""The oracle's tables. Prices are exact integers with their exponent, as they were signed; never floats."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Integer, LargeBinary, Numeric, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base

# An unsigned 64-bit integer, which a bigint cannot hold.
Unsigned64 = Numeric(20, 0)
Moment = TIMESTAMP(timezone=True)


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
