"""Alarms of the chain feature."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0004_chain_alarms"
down_revision = "0003_chain_transactions"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chain_alarms",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("chain_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("detail", JSONB(), nullable=False),
        sa.Column("raised_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("resolved_at", TIMESTAMP(timezone=True)),
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
