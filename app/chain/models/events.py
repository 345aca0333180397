"""Tables of the indexer. Raw words are the record: a mended ABI decodes them again without asking the node."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, Integer, LargeBinary, Text, func, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, new_id


class ChainEvent(Base):
    """A log as it was mined, of blocks we hold to be in the chain; a reorg deletes what it undid.

    Grows with what the contracts emit, and is kept for good. `decode_error` says why a watched event's row does not fit
    its ABI; the row stays. Indexes: by block for rollback and for reading in order; by contract and event for readers.
    """

    __tablename__ = "chain_events"
    __table_args__ = (
        Index("ix_chain_events_block", "chain_id", "block_number", "log_index"),
        Index("ix_chain_events_address", "chain_id", "address", "topic0", "block_number", "log_index"),
    )

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    block_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    log_index: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    block_number: Mapped[int] = mapped_column(BigInteger)
    mined_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))
    transaction_hash: Mapped[bytes] = mapped_column(LargeBinary)
    transaction_index: Mapped[int] = mapped_column(Integer)
    address: Mapped[bytes] = mapped_column(LargeBinary)
    topic0: Mapped[bytes | None] = mapped_column(LargeBinary)
    topic1: Mapped[bytes | None] = mapped_column(LargeBinary)
    topic2: Mapped[bytes | None] = mapped_column(LargeBinary)
    topic3: Mapped[bytes | None] = mapped_column(LargeBinary)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    decode_error: Mapped[str | None] = mapped_column(Text)


class ChainChild(Base):
    """A contract that a protocol's factory made, by the creation event; a reorg deletes what it undid.

    Grows with what the factories make, and is kept for good. The index is the rollback's.
    """

    __tablename__ = "chain_children"
    __table_args__ = (Index("ix_chain_children_block", "chain_id", "block_number"),)

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    protocol: Mapped[str] = mapped_column(Text, primary_key=True)
    address: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    contract: Mapped[str] = mapped_column(Text)
    block_number: Mapped[int] = mapped_column(BigInteger)


class ChainHeader(Base):
    """The newest blocks of the chain as we believe it, with parent links; and the first block any set began with.

    Bounded: `header_depth` rows a chain (1,024), whatever the node's tags say, and one more.
    """

    __tablename__ = "chain_headers"

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    parent_hash: Mapped[bytes] = mapped_column(LargeBinary)
    mined_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True))


class ChainCursor(Base):
    """How far a contract set is indexed; moved by compare-and-set in the transaction that writes the events.

    Grows with the number of contract sets (and of ranges asked for by hand), never with the chain. `rewinds`
    counts reorgs that reached this set.
    """

    __tablename__ = "chain_cursors"
    __table_args__ = (
        CheckConstraint("next_block >= start_block", name="position"),
        CheckConstraint("(halted_at IS NULL) = (halted_reason IS NULL)", name="halted"),
    )

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(Text, primary_key=True)
    start_block: Mapped[int] = mapped_column(BigInteger)
    next_block: Mapped[int] = mapped_column(BigInteger)
    tip_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    tip_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    head_block: Mapped[int | None] = mapped_column(BigInteger)
    final_block: Mapped[int | None] = mapped_column(BigInteger)
    rewinds: Mapped[int] = mapped_column(Integer, server_default=text("0"))
    checked_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    halted_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
    halted_reason: Mapped[str | None] = mapped_column(Text)


class ChainBackfill(Base):
    """History that is being read in chunks, each with a cursor `set@first-last`; gone when it has met the live head.

    At most one row a contract set. While it is there the set's own cursor begins above `last_block`, and its events
    feed no projections.
    """

    __tablename__ = "chain_backfills"
    __table_args__ = (
        CheckConstraint(
            "start_block <= first_block AND first_block <= last_block AND chunk_blocks >= 1"
            " AND fold_block >= start_block",
            name="order",
        ),
    )

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    contract_set: Mapped[str] = mapped_column(Text, primary_key=True)
    start_block: Mapped[int] = mapped_column(BigInteger)
    first_block: Mapped[int] = mapped_column(BigInteger)
    last_block: Mapped[int] = mapped_column(BigInteger)
    chunk_blocks: Mapped[int] = mapped_column(BigInteger)
    fold_block: Mapped[int] = mapped_column(BigInteger)
    children_known: Mapped[int | None] = mapped_column(BigInteger)


class ChainAlarm(Base):
    """Something about a chain or a node that an operator should see; an open one is counted up, not repeated.

    Grows with incidents: at most one open row a (chain, kind, subject), however often it is seen.
    """

    __tablename__ = "chain_alarms"
    __table_args__ = (
        Index(
            "uq_chain_alarms_open",
            "chain_id",
            "kind",
            "subject",
            unique=True,
            postgresql_where=text("resolved_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    contract_set: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    detail: Mapped[dict[str, Any]] = mapped_column(JSONB)
    count: Mapped[int] = mapped_column(Integer, server_default=text("1"))
    first_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    last_at: Mapped[datetime] = mapped_column(TIMESTAMP(timezone=True), server_default=func.now())
    resolved_at: Mapped[datetime | None] = mapped_column(TIMESTAMP(timezone=True))
