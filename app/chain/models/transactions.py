"""The sender's tables. What must never happen is refused by the database: see also the triggers of the migration."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, Numeric, SmallInteger, Text, text
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP
from sqlalchemy.orm import Mapped, mapped_column

from app.core.db import Base, new_id

WEI = Numeric(78, 0)
MOMENT = TIMESTAMP(timezone=True)
_LIVE = text("finished_at IS NULL")


class ChainIntent(Base):
    """One effect wanted on a chain: at most one transaction is ever mined for it, whatever is tried."""

    __tablename__ = "chain_intents"
    __table_args__ = (
        CheckConstraint("octet_length(signer) = 20 AND octet_length(to_address) = 20", "addresses"),
        CheckConstraint("value_wei >= 0 AND max_cost_wei >= 0 AND spent_wei >= 0 AND fee_cap_wei > 0", "amounts"),
        CheckConstraint(
            "status IN ('planned','reserved','signed','broadcast','mined',"
            "'final','reverted','failed','cancelled','rehearsed')",
            "status",
        ),
        CheckConstraint(
            "CASE WHEN status IN ('planned','failed','rehearsed') THEN nonce IS NULL"
            " WHEN status = 'cancelled' THEN true ELSE nonce IS NOT NULL END",
            "nonce",
        ),
        CheckConstraint("nonce IS NULL OR num_nulls(gas_limit, max_cost_wei, reserved_block) = 0", "reserved"),
        CheckConstraint(
            "(finished_at IS NOT NULL) = (status IN ('final','reverted','failed','cancelled','rehearsed'))", "ended"
        ),
        CheckConstraint(
            "num_nonnulls(transaction_hash, block_number, block_hash, receipt_status) = CASE WHEN status IN"
            " ('mined','final','reverted') OR (status = 'cancelled' AND nonce IS NOT NULL) THEN 4 ELSE 0 END",
            "included",
        ),
        CheckConstraint(
            "(status <> 'final' OR receipt_status = 1) AND (status <> 'reverted' OR receipt_status = 0)", "receipt"
        ),
        CheckConstraint(
            "(spent_wei IS NOT NULL) = (finished_at IS NOT NULL AND transaction_hash IS NOT NULL)", "spent"
        ),
        Index("uq_chain_intents_live_subject", "chain_id", "action", "subject", unique=True, postgresql_where=_LIVE),
        Index("uq_chain_intents_live_nonce", "chain_id", "signer", "nonce", unique=True, postgresql_where=_LIVE),
        Index(
            "ix_chain_intents_spent",
            "chain_id",
            "signer",
            "finished_at",
            postgresql_where=text("spent_wei IS NOT NULL"),
        ),
        Index("ix_chain_intents_status", "status", "id"),
        Index("ix_chain_intents_action", "action", "id"),
        Index("ix_chain_intents_subject", "subject", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    signer: Mapped[bytes] = mapped_column(LargeBinary)
    action: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    purpose: Mapped[str] = mapped_column(Text)
    to_address: Mapped[bytes] = mapped_column(LargeBinary)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    value_wei: Mapped[Decimal] = mapped_column(WEI)
    gas_ceiling: Mapped[int | None] = mapped_column(BigInteger)
    fee_cap_wei: Mapped[Decimal | None] = mapped_column(WEI)
    expires_at: Mapped[datetime | None] = mapped_column(MOMENT)
    job_id: Mapped[UUID | None] = mapped_column()
    status: Mapped[str] = mapped_column(Text)
    nonce: Mapped[int | None] = mapped_column(BigInteger)
    reserved_block: Mapped[int | None] = mapped_column(BigInteger)
    gas_limit: Mapped[int | None] = mapped_column(BigInteger)
    max_cost_wei: Mapped[Decimal | None] = mapped_column(WEI)
    cancel_reason: Mapped[str | None] = mapped_column(Text)
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    transaction_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    block_number: Mapped[int | None] = mapped_column(BigInteger)
    block_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    receipt_status: Mapped[int | None] = mapped_column(SmallInteger)
    spent_wei: Mapped[Decimal | None] = mapped_column(WEI)
    created_at: Mapped[datetime] = mapped_column(MOMENT)
    updated_at: Mapped[datetime] = mapped_column(MOMENT)
    finished_at: Mapped[datetime | None] = mapped_column(MOMENT)


class ChainAttempt(Base):
    """One signed transaction. Its bytes are here before any node has seen them, and never change."""

    __tablename__ = "chain_attempts"
    __table_args__ = (
        CheckConstraint("octet_length(hash) = 32 AND octet_length(signer) = 20", "widths"),
        CheckConstraint("effect IN ('call','cancel')", "effect"),
        CheckConstraint("outcome IN ('signed','sent','mined','beaten','lost')", "outcome"),
        CheckConstraint("number >= 1 AND nonce >= 0 AND gas_limit > 0 AND tip_wei <= max_fee_wei", "amounts"),
        Index("uq_chain_attempts_hash", "hash", unique=True),
        Index("ix_chain_attempts_nonce", "chain_id", "signer", "nonce"),
        Index("uq_chain_attempts_mined_intent", "intent_id", unique=True, postgresql_where=text("outcome = 'mined'")),
        Index(
            "uq_chain_attempts_mined_nonce",
            "chain_id",
            "signer",
            "nonce",
            unique=True,
            postgresql_where=text("outcome = 'mined'"),
        ),
    )

    intent_id: Mapped[UUID] = mapped_column(ForeignKey("chain_intents.id"), primary_key=True)
    number: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    chain_id: Mapped[int] = mapped_column(BigInteger)
    signer: Mapped[bytes] = mapped_column(LargeBinary)
    nonce: Mapped[int] = mapped_column(BigInteger)
    effect: Mapped[str] = mapped_column(Text)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    raw: Mapped[bytes] = mapped_column(LargeBinary)
    gas_limit: Mapped[int] = mapped_column(BigInteger)
    max_fee_wei: Mapped[Decimal] = mapped_column(WEI)
    tip_wei: Mapped[Decimal | None] = mapped_column(WEI)
    created_at: Mapped[datetime] = mapped_column(MOMENT)
    first_broadcast_at: Mapped[datetime | None] = mapped_column(MOMENT)
    last_broadcast_at: Mapped[datetime | None] = mapped_column(MOMENT)
    outcome: Mapped[str] = mapped_column(Text)
    refusal: Mapped[str | None] = mapped_column(Text)


class ChainSigner(Base):
    """One key on one chain. Its row is the lock under which nonces are handed out; `next_nonce` only grows."""

    __tablename__ = "chain_signers"
    __table_args__ = (
        CheckConstraint("octet_length(address) = 20 AND next_nonce >= 0", "values"),
        CheckConstraint("(halted_at IS NULL) = (halt_reason IS NULL)", "halt"),
        CheckConstraint("(breaker_opened_at IS NULL) = (breaker_reason IS NULL)", "breaker"),
    )

    chain_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    address: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    next_nonce: Mapped[int] = mapped_column(BigInteger)
    seen_block: Mapped[int] = mapped_column(BigInteger)
    halted_at: Mapped[datetime | None] = mapped_column(MOMENT)
    halt_reason: Mapped[str | None] = mapped_column(Text)
    breaker_opened_at: Mapped[datetime | None] = mapped_column(MOMENT)
    breaker_reason: Mapped[str | None] = mapped_column(Text)
    breaker_reset_at: Mapped[datetime | None] = mapped_column(MOMENT)
    created_at: Mapped[datetime] = mapped_column(MOMENT)
