"""Back-fills: history that is read in chunks below the live head"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013_backfills"
down_revision = "0012_nodes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "chain_backfills",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("contract_set", sa.Text(), nullable=False),
        sa.Column("start_block", sa.BigInteger(), nullable=False),
        sa.Column("first_block", sa.BigInteger(), nullable=False),
        sa.Column("last_block", sa.BigInteger(), nullable=False),
        sa.Column("chunk_blocks", sa.BigInteger(), nullable=False),
        sa.Column("fold_block", sa.BigInteger(), nullable=False),
        sa.Column("children_known", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "start_block <= first_block AND first_block <= last_block AND chunk_blocks >= 1"
            " AND fold_block >= start_block",
            name="ck_chain_backfills_order",
        ),
        sa.PrimaryKeyConstraint("chain_id", "contract_set", name="pk_chain_backfills"),
    )


def downgrade() -> None:
    op.drop_table("chain_backfills")
