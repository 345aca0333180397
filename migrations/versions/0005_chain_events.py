"""Raw events, headers, cursors and alarms of the indexer"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0005_chain_events"
down_revision = "0004_oracle"
branch_labels = None
depends_on = None

TIME = TIMESTAMP(timezone=True)


def upgrade() -> None:
    op.create_table(
        "chain_events",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block_hash", sa.LargeBinary(), nullable=False),
        sa.Column("log_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("mined_at", TIME, nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(), nullable=False),
        sa.Column("transaction_index", sa.Integer(), nullable=False),
        sa.Column("address", sa.LargeBinary(), nullable=False),
        sa.Column("topic0", sa.LargeBinary()),
        sa.Column("topic1", sa.LargeBinary()),
        sa.Column("topic2", sa.LargeBinary()),
        sa.Column("topic3", sa.LargeBinary()),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("decode_error", sa.Text()),
        sa.PrimaryKeyConstraint("chain_id", "block_hash", "log_index", name="pk_chain_events"),
    )
    op.create_index("ix_chain_events_block", "chain_events", ["chain_id", "block_number", "log_index"])
    op.create_index(
        "ix_chain_events_address", "chain_events", ["chain_id", "address", "topic0", "block_number", "log_index"]
    )
    op.create_table(
        "chain_headers",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.Column("parent_hash", sa.LargeBinary(), nullable=False),
        sa.Column("mined_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("chain_id", "number", name="pk_chain_headers"),
    )
    op.create_table(
        "chain_cursors",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("start_block", sa.BigInteger(), nullable=False),
        sa.Column("next_block", sa.BigInteger(), nullable=False),
        sa.Column("tip_hash", sa.LargeBinary()),
        sa.Column("tip_at", TIME),
        sa.Column("head_block", sa.BigInteger()),
        sa.Column("final_block", sa.BigInteger()),
        sa.Column("range_blocks", sa.Integer(), nullable=False),
        sa.Column("range_ceiling", sa.Integer()),
        sa.Column("range_successes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("rewinds", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("checked_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("halted_at", TIME),
        sa.Column("halted_reason", sa.Text()),
        sa.CheckConstraint("next_block >= start_block", name="ck_chain_cursors_position"),
        sa.CheckConstraint(
            "range_blocks >= 1 AND (range_ceiling IS NULL OR range_ceiling >= 1)", name="ck_chain_cursors_range"
        ),
        sa.CheckConstraint("(halted_at IS NULL) = (halted_reason IS NULL)", name="ck_chain_cursors_halted"),
        sa.PrimaryKeyConstraint("chain_id", "name", name="pk_chain_cursors"),
    )
    op.create_table(
        "chain_alarms",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("contract_set", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", JSONB(), nullable=False),
        sa.Column("count", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("first_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("last_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.Column("resolved_at", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_chain_alarms"),
    )
    op.create_index(
        "uq_chain_alarms_open",
        "chain_alarms",
        ["chain_id", "kind", "subject"],
        unique=True,
        postgresql_where=sa.text("resolved_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_table("chain_alarms")
    op.drop_table("chain_cursors")
    op.drop_table("chain_headers")
    op.drop_table("chain_events")
