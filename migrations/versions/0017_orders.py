"""Conditional orders, folded from events; backoffs by action; what the keeper planned and how long it took"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0017_orders"
down_revision = "0016_streaming"
branch_labels = None
depends_on = None

WAD = sa.Numeric(78, 0)
MOMENT = TIMESTAMP(timezone=True)
# The naming convention was applied to a name that had it already.
OLD_ENTITY = "ck_perps_folded_events_ck_perps_folded_events_entity"
BACKOFFS = "pk_perps_keeper_backoffs"
OPEN = sa.text("status = 'open'")


def upgrade() -> None:
    op.create_table(
        "perps_orders",
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("user_address", sa.LargeBinary(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("position_key", sa.Text()),
        sa.Column("size_wad", WAD, nullable=False),
        sa.Column("collateral_wad", WAD, nullable=False),
        sa.Column("trigger_price_wad", WAD, nullable=False),
        sa.Column("acceptable_price_wad", WAD),
        sa.Column("execution_fee_wad", WAD, nullable=False),
        sa.Column("expires_at", MOMENT),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("executed_price_wad", WAD),
        sa.Column("executed_size_wad", WAD),
        sa.Column("keeper", sa.LargeBinary()),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_block_number", sa.BigInteger(), nullable=False),
        sa.Column("created_log_index", sa.Integer(), nullable=False),
        sa.Column("created_block_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_transaction_hash", sa.LargeBinary(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.Integer(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("kind IN ('limit', 'stop_loss', 'take_profit')", name="kind"),
        sa.CheckConstraint("side IN ('long', 'short')", name="side"),
        sa.CheckConstraint("status IN ('open', 'executed', 'cancelled')", name="status"),
        sa.CheckConstraint("(status = 'executed') = (executed_price_wad IS NOT NULL)", name="executed"),
        sa.CheckConstraint("octet_length(user_address) = 20", name="user_address"),
        sa.PrimaryKeyConstraint("protocol", "key", name="pk_perps_orders"),
    )
    for name, columns, where in (
        ("trigger", ["protocol", "market_id", "kind", "side", "trigger_price_wad"], OPEN),
        ("created", ["created_at", "protocol", "key"], None),
        ("open", ["created_at", "protocol", "key"], OPEN),
        ("user", ["user_address", "created_at", "protocol", "key"], None),
        ("market", ["protocol", "market_id", "created_at", "key"], None),
        ("position", ["protocol", "position_key", "created_at", "key"], None),
    ):
        op.create_index(f"ix_perps_orders_{name}", "perps_orders", columns, postgresql_where=where)
    op.create_table(
        "perps_keeper_actions",
        sa.Column("intent_id", sa.Uuid(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("price_published_at", MOMENT, nullable=False),
        sa.Column("detected_at", MOMENT, nullable=False),
        sa.Column("planned_at", MOMENT, nullable=False),
        sa.Column("broadcast_at", MOMENT),
        sa.Column("included_at", MOMENT),
        sa.Column("block_number", sa.BigInteger()),
        sa.Column("outcome", sa.Text()),
        sa.CheckConstraint("(included_at IS NULL) = (block_number IS NULL)", name="included"),
        sa.PrimaryKeyConstraint("intent_id", name="pk_perps_keeper_actions"),
    )
    op.create_index("ix_perps_keeper_actions_detected", "perps_keeper_actions", ["detected_at", "intent_id"])
    op.create_index(
        "ix_perps_keeper_actions_live",
        "perps_keeper_actions",
        ["protocol"],
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.drop_constraint(op.f(OLD_ENTITY), "perps_folded_events")
    op.create_check_constraint("entity", "perps_folded_events", "entity IN ('position', 'market', 'order')")
    # What failed until now were liquidations.
    op.add_column("perps_keeper_backoffs", sa.Column("action", sa.Text(), server_default="liquidate", nullable=False))
    op.alter_column("perps_keeper_backoffs", "action", server_default=None)
    op.drop_constraint(BACKOFFS, "perps_keeper_backoffs")
    op.create_primary_key(BACKOFFS, "perps_keeper_backoffs", ["protocol", "action", "key"])


def downgrade() -> None:
    op.execute("DELETE FROM perps_keeper_backoffs WHERE action <> 'liquidate'")
    op.drop_constraint(BACKOFFS, "perps_keeper_backoffs")
    op.drop_column("perps_keeper_backoffs", "action")
    op.create_primary_key(BACKOFFS, "perps_keeper_backoffs", ["protocol", "key"])
    op.execute("DELETE FROM perps_folded_events WHERE entity = 'order'")
    op.drop_constraint(op.f("ck_perps_folded_events_entity"), "perps_folded_events")
    op.create_check_constraint(op.f(OLD_ENTITY), "perps_folded_events", "entity IN ('position', 'market')")
    op.drop_table("perps_keeper_actions")
    op.drop_table("perps_orders")
