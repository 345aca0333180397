"""Nodes: how each provider stands, range sizes a provider, audits"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0012_nodes"
down_revision = "0011_protocols"
branch_labels = None
depends_on = None

TIME = TIMESTAMP(timezone=True)
ZERO = sa.text("0")
RANGE = "range_blocks >= 1 AND (range_ceiling IS NULL OR range_ceiling >= 1)"


def upgrade() -> None:
    op.create_table(
        "chain_providers",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=ZERO, nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("openings", sa.Integer(), server_default=ZERO, nullable=False),
        sa.Column("opened_at", TIME),
        sa.Column("retry_at", TIME),
        sa.CheckConstraint("(opened_at IS NULL) = (openings = 0)", name="ck_chain_providers_opened"),
        sa.PrimaryKeyConstraint("chain_id", "provider", name="pk_chain_providers"),
    )
    op.create_table(
        "chain_range_sizes",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("contract_set", sa.Text(), nullable=False),
        sa.Column("blocks", sa.Integer(), nullable=False),
        sa.Column("ceiling", sa.Integer()),
        sa.Column("successes", sa.Integer(), server_default=ZERO, nullable=False),
        sa.CheckConstraint("blocks >= 1 AND (ceiling IS NULL OR ceiling >= 1)", name="ck_chain_range_sizes_range"),
        sa.PrimaryKeyConstraint("chain_id", "provider", "contract_set", name="pk_chain_range_sizes"),
    )
    op.create_table(
        "chain_audits",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("contract_set", sa.Text(), nullable=False),
        sa.Column("first_block", sa.BigInteger(), nullable=False),
        sa.Column("last_block", sa.BigInteger(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("rows_missing", sa.Integer(), nullable=False),
        sa.Column("rows_extra", sa.Integer(), nullable=False),
        sa.Column("rows_repaired", sa.Integer(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("audited_at", TIME, server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint(
            "last_block >= first_block AND rows_repaired <= rows_missing + rows_extra", name="ck_chain_audits_range"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_chain_audits"),
    )
    op.create_index("ix_chain_audits_set", "chain_audits", ["chain_id", "contract_set", "id"])
    # What was learned is learned again within a few requests, and this time a provider.
    for column in ("range_blocks", "range_ceiling", "range_successes"):
        op.drop_column("chain_cursors", column)


def downgrade() -> None:
    op.add_column("chain_cursors", sa.Column("range_blocks", sa.Integer(), server_default="100", nullable=False))
    op.alter_column("chain_cursors", "range_blocks", server_default=None)
    op.add_column("chain_cursors", sa.Column("range_ceiling", sa.Integer()))
    op.add_column("chain_cursors", sa.Column("range_successes", sa.Integer(), server_default=ZERO, nullable=False))
    op.create_check_constraint("ck_chain_cursors_range", "chain_cursors", RANGE)
    op.drop_table("chain_audits")
    op.drop_table("chain_range_sizes")
    op.drop_table("chain_providers")
