"""The transaction sender: intents, attempts, signers, and the triggers that hold their laws."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0006_chain_transactions"
down_revision = "0005_chain_events"
branch_labels = None
depends_on = None

WEI = sa.Numeric(78, 0)
MOMENT = TIMESTAMP(timezone=True)
LIVE = sa.text("finished_at IS NULL")
MINED = sa.text("outcome = 'mined'")

# Only listed transitions; an ended intent never changes; a nonce once reserved stays, unless it goes back unused by us.
GUARD_INTENTS = """
CREATE FUNCTION chain_intents_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.status NOT IN ('planned', 'reserved') THEN
      RAISE EXCEPTION 'an intent begins as planned or reserved, not as %', NEW.status
        USING ERRCODE = 'check_violation', CONSTRAINT = 'chain_intents_transitions';
    END IF;
    RETURN NEW;
  END IF;
  IF OLD.finished_at IS NOT NULL THEN
    RAISE EXCEPTION 'intent % has ended', OLD.id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'chain_intents_transitions';
  END IF;
  IF NEW.status <> OLD.status AND (OLD.status || '>' || NEW.status) <> ALL (ARRAY[
      'planned>reserved', 'planned>failed', 'planned>cancelled', 'planned>rehearsed',
      'reserved>signed', 'reserved>planned', 'reserved>cancelled',
      'signed>broadcast', 'signed>mined', 'signed>planned', 'signed>cancelled',
      'broadcast>mined', 'broadcast>planned', 'broadcast>cancelled',
      'mined>broadcast', 'mined>final', 'mined>reverted', 'mined>cancelled']) THEN
    RAISE EXCEPTION 'intent %: no transition from % to %', OLD.id, OLD.status, NEW.status
      USING ERRCODE = 'check_violation', CONSTRAINT = 'chain_intents_transitions';
  END IF;
  IF OLD.nonce IS NOT NULL AND NEW.nonce IS DISTINCT FROM OLD.nonce AND (
      NEW.nonce IS NOT NULL OR NEW.status NOT IN ('planned', 'cancelled')
      OR EXISTS (SELECT FROM chain_attempts WHERE intent_id = OLD.id AND outcome = 'mined')) THEN
    RAISE EXCEPTION 'intent % may not give up nonce %', OLD.id, OLD.nonce
      USING ERRCODE = 'check_violation', CONSTRAINT = 'chain_intents_nonce_kept';
  END IF;
  RETURN NEW;
END $$
"""

# What was signed is what is sent: a row's bytes never change.
GUARD_ATTEMPTS = """
CREATE FUNCTION chain_attempts_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF (NEW.intent_id, NEW.number, NEW.chain_id, NEW.signer, NEW.nonce, NEW.effect, NEW.hash, NEW.raw)
      IS DISTINCT FROM
     (OLD.intent_id, OLD.number, OLD.chain_id, OLD.signer, OLD.nonce, OLD.effect, OLD.hash, OLD.raw) THEN
    RAISE EXCEPTION 'attempt % of intent % is signed and does not change', OLD.number, OLD.intent_id
      USING ERRCODE = 'check_violation', CONSTRAINT = 'chain_attempts_signed';
  END IF;
  RETURN NEW;
END $$
"""

# A nonce is handed out once.
GUARD_SIGNERS = """
CREATE FUNCTION chain_signers_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.next_nonce < OLD.next_nonce THEN
    RAISE EXCEPTION 'the next nonce never falls (% to %)', OLD.next_nonce, NEW.next_nonce
      USING ERRCODE = 'check_violation', CONSTRAINT = 'chain_signers_nonce_grows';
  END IF;
  RETURN NEW;
END $$
"""


def upgrade() -> None:
    _create_intents()
    _create_attempts()
    _create_signers()
    for statement in (GUARD_INTENTS, GUARD_ATTEMPTS, GUARD_SIGNERS):
        op.execute(statement)
    op.execute(
        "CREATE TRIGGER chain_intents_guard BEFORE INSERT OR UPDATE ON chain_intents"
        " FOR EACH ROW EXECUTE FUNCTION chain_intents_guard()"
    )
    op.execute(
        "CREATE TRIGGER chain_attempts_guard BEFORE UPDATE ON chain_attempts"
        " FOR EACH ROW EXECUTE FUNCTION chain_attempts_guard()"
    )
    op.execute(
        "CREATE TRIGGER chain_signers_guard BEFORE UPDATE ON chain_signers"
        " FOR EACH ROW EXECUTE FUNCTION chain_signers_guard()"
    )


def downgrade() -> None:
    op.drop_table("chain_attempts")
    op.drop_table("chain_intents")
    op.drop_table("chain_signers")
    for table in ("chain_intents", "chain_attempts", "chain_signers"):
        op.execute(f"DROP FUNCTION {table}_guard()")


def _create_intents() -> None:
    op.create_table(
        "chain_intents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("signer", sa.LargeBinary(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("to_address", sa.LargeBinary(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("value_wei", WEI, nullable=False),
        sa.Column("gas_ceiling", sa.BigInteger()),
        sa.Column("fee_cap_wei", WEI),
        sa.Column("expires_at", MOMENT),
        sa.Column("job_id", sa.Uuid()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("nonce", sa.BigInteger()),
        sa.Column("reserved_block", sa.BigInteger()),
        sa.Column("gas_limit", sa.BigInteger()),
        sa.Column("max_cost_wei", WEI),
        sa.Column("cancel_reason", sa.Text()),
        sa.Column("error", JSONB()),
        sa.Column("transaction_hash", sa.LargeBinary()),
        sa.Column("block_number", sa.BigInteger()),
        sa.Column("block_hash", sa.LargeBinary()),
        sa.Column("receipt_status", sa.SmallInteger()),
        sa.Column("spent_wei", WEI),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.PrimaryKeyConstraint("id", name="pk_chain_intents"),
        *(sa.CheckConstraint(law, name=op.f(f"ck_chain_intents_{name}")) for name, law in INTENT_LAWS.items()),
    )
    op.create_index(
        "uq_chain_intents_live_subject",
        "chain_intents",
        ["chain_id", "action", "subject"],
        unique=True,
        postgresql_where=LIVE,
    )
    op.create_index(
        "uq_chain_intents_live_nonce",
        "chain_intents",
        ["chain_id", "signer", "nonce"],
        unique=True,
        postgresql_where=LIVE,
    )
    op.create_index(
        "ix_chain_intents_spent",
        "chain_intents",
        ["chain_id", "signer", "finished_at"],
        postgresql_where=sa.text("spent_wei IS NOT NULL"),
    )


INTENT_LAWS = {
    "addresses": "octet_length(signer) = 20 AND octet_length(to_address) = 20",
    "amounts": "value_wei >= 0 AND max_cost_wei >= 0 AND spent_wei >= 0 AND fee_cap_wei > 0",
    "status": "status IN ('planned','reserved','signed','broadcast','mined',"
    "'final','reverted','failed','cancelled','rehearsed')",
    "nonce": "CASE WHEN status IN ('planned','failed','rehearsed') THEN nonce IS NULL"
    " WHEN status = 'cancelled' THEN true ELSE nonce IS NOT NULL END",
    "reserved": "nonce IS NULL OR num_nulls(gas_limit, max_cost_wei, reserved_block) = 0",
    "ended": "(finished_at IS NOT NULL) = (status IN ('final','reverted','failed','cancelled','rehearsed'))",
    "included": "num_nonnulls(transaction_hash, block_number, block_hash, receipt_status) = CASE WHEN status IN"
    " ('mined','final','reverted') OR (status = 'cancelled' AND nonce IS NOT NULL) THEN 4 ELSE 0 END",
    "receipt": "(status <> 'final' OR receipt_status = 1) AND (status <> 'reverted' OR receipt_status = 0)",
    "spent": "(spent_wei IS NOT NULL) = (finished_at IS NOT NULL AND transaction_hash IS NOT NULL)",
}


def _create_attempts() -> None:
    op.create_table(
        "chain_attempts",
        sa.Column("intent_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.SmallInteger(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("signer", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("gas_limit", sa.BigInteger(), nullable=False),
        sa.Column("max_fee_wei", WEI, nullable=False),
        sa.Column("tip_wei", WEI),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("first_broadcast_at", MOMENT),
        sa.Column("last_broadcast_at", MOMENT),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("refusal", sa.Text()),
        sa.PrimaryKeyConstraint("intent_id", "number", name="pk_chain_attempts"),
        sa.ForeignKeyConstraint(["intent_id"], ["chain_intents.id"], name="fk_chain_attempts_intent_id"),
        sa.CheckConstraint(
            "octet_length(hash) = 32 AND octet_length(signer) = 20", name=op.f("ck_chain_attempts_widths")
        ),
        sa.CheckConstraint("effect IN ('call','cancel')", name=op.f("ck_chain_attempts_effect")),
        sa.CheckConstraint(
            "outcome IN ('signed','sent','mined','beaten','lost')", name=op.f("ck_chain_attempts_outcome")
        ),
        sa.CheckConstraint(
            "number >= 1 AND nonce >= 0 AND gas_limit > 0 AND tip_wei <= max_fee_wei",
            name=op.f("ck_chain_attempts_amounts"),
        ),
    )
    nonce = ["chain_id", "signer", "nonce"]
    op.create_index("uq_chain_attempts_hash", "chain_attempts", ["hash"], unique=True)
    op.create_index("ix_chain_attempts_nonce", "chain_attempts", nonce)
    op.create_index(
        "uq_chain_attempts_mined_intent", "chain_attempts", ["intent_id"], unique=True, postgresql_where=MINED
    )
    op.create_index("uq_chain_attempts_mined_nonce", "chain_attempts", nonce, unique=True, postgresql_where=MINED)


def _create_signers() -> None:
    op.create_table(
        "chain_signers",
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("next_nonce", sa.BigInteger(), nullable=False),
        sa.Column("seen_block", sa.BigInteger(), nullable=False),
        sa.Column("halted_at", MOMENT),
        sa.Column("halt_reason", sa.Text()),
        sa.Column("breaker_opened_at", MOMENT),
        sa.Column("breaker_reason", sa.Text()),
        sa.Column("breaker_reset_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "address", name="pk_chain_signers"),
        sa.CheckConstraint("octet_length(address) = 20 AND next_nonce >= 0", name=op.f("ck_chain_signers_values")),
        sa.CheckConstraint("(halted_at IS NULL) = (halt_reason IS NULL)", name=op.f("ck_chain_signers_halt")),
        sa.CheckConstraint(
            "(breaker_opened_at IS NULL) = (breaker_reason IS NULL)", name=op.f("ck_chain_signers_breaker")
        ),
    )
