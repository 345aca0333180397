"""What lists of transactions are filtered by has an index, newest first; the primary key serves the rest."""

from __future__ import annotations

from alembic import op

revision = "0010_transaction_lists"
down_revision = "0009_busy_jobs"
branch_labels = None
depends_on = None

FILTERS = ("status", "action", "subject")


def upgrade() -> None:
    for name in FILTERS:
        op.create_index(f"ix_chain_intents_{name}", "chain_intents", [name, "id"])


def downgrade() -> None:
    for name in FILTERS:
        op.drop_index(f"ix_chain_intents_{name}", "chain_intents")
