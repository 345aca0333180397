"""The outbox of domain events."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0001_outbox"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("payload", JSONB(), nullable=False),
        sa.Column("created_at", TIMESTAMP(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("number", sa.BigInteger()),
        sa.Column("published_at", TIMESTAMP(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_unnumbered", "outbox", ["id"], postgresql_where=sa.text("number IS NULL"))
    op.create_index(
        "ix_outbox_unpublished",
        "outbox",
        ["number"],
        postgresql_where=sa.text("published_at IS NULL AND number IS NOT NULL"),
    )
    op.create_index("uq_outbox_number", "outbox", ["number"], unique=True)


def downgrade() -> None:
    op.drop_table("outbox")
