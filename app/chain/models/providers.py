"""Tables on providers: how each stands, what it can answer at once, and what audits found."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, Text, func, text
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, new_id


class ChainProvider(Base):
    """A provider that failed or lied; others are preferred to it until `retry_at`, in every worker.

    Bounded: a row a provider that ever did (by its host, so that no key is written down). `failures` in a row;
    `openings` within a day, each of which doubles the wait.
    """

    __tablename__ = "chain_providers"
    __table_args__ = (CheckConstraint("(opened_at IS NULL) = (openings = 0)", name="opened"),)

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    failures: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    reason: Mapped[str | None] = mapped_column(Text)
    openings: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    opened_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    retry_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))


class ChainRangeSize(Base):
    """How many blocks to ask a provider for at once, for a contract set; what was learned of its limits.

    Bounded: a row a provider and cursor.
    """

    __tablename__ = "chain_range_sizes"
    __table_args__ = (CheckConstraint("blocks >= 1 AND (ceiling IS NULL OR ceiling >= 1)", name="range"),)

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    provider: Mapped[str] = mapped_column(Text, primary_key=True)
    contract_set: Mapped[str] = mapped_column(Text, primary_key=True)
    blocks: Mapped[int] = mapped_column(Integer)
    ceiling: Mapped[int | None] = mapped_column(Integer)
    successes: Mapped[int] = mapped_column(Integer, server_default=text("0"))


class ChainAudit(Base):
    """A range of final blocks that was read again and compared with the tables; the next audit goes on after it.

    Grows with the audits, one row a range; kept as long as ended jobs are, the newest of a set for good. `method`: how
    the truth was found, by another provider's ranges or by receipts alone.
    """

    __tablename__ = "chain_audits"
    __table_args__ = (
        CheckConstraint("last_block >= first_block AND rows_repaired <= rows_missing + rows_extra", name="range"),
        Index("ix_chain_audits_set", "chain_id", "contract_set", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    contract_set: Mapped[str] = mapped_column(Text)
    first_block: Mapped[int] = mapped_column(BigInteger)
    last_block: Mapped[int] = mapped_column(BigInteger)
    provider: Mapped[str] = mapped_column(Text)
    method: Mapped[str] = mapped_column(Text)
    rows_missing: Mapped[int] = mapped_column(Integer)
    rows_extra: Mapped[int] = mapped_column(Integer)
    rows_repaired: Mapped[int] = mapped_column(Integer)
    calls: Mapped[int] = mapped_column(Integer)
    audited_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
