"""Perps: markets, positions and what they are folded from, funding, liquidations, the keeper's own notes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0007_perps"
down_revision = "0006_chain_transactions"
branch_labels = None
depends_on = None

WAD = sa.Numeric(78, 0)
MOMENT = TIMESTAMP(timezone=True)
TABLES = (
    "perps_folded_events",
    "perps_funding_rates",
    "perps_funding_slots",
    "perps_keeper_backoffs",
    "perps_liquidations",
    "perps_markets",
    "perps_positions",
)


def upgrade() -> None:
    op.create_table(
        "perps_folded_events",
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("block_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("entity IN ('position', 'market')", name="ck_perps_folded_events_entity"),
        sa.PrimaryKeyConstraint(
            "protocol", "entity", "key", "block_number", "log_index", name="pk_perps_folded_events"
        ),
    )
    op.create_index("ix_perps_folded_events_block", "perps_folded_events", ["protocol", "block_number"], unique=False)
    op.create_table(
        "perps_funding_rates",
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("funding_rate_wad", WAD, nullable=False),
        sa.Column("long_index_wad", WAD, nullable=False),
        sa.Column("short_index_wad", WAD, nullable=False),
        sa.Column("long_oi_wad", WAD, nullable=True),
        sa.Column("short_oi_wad", WAD, nullable=True),
        sa.Column("price_wad", WAD, nullable=False),
        sa.Column("elapsed_seconds", sa.BigInteger(), nullable=False),
        sa.Column("settled_at", MOMENT, nullable=False),
        sa.Column("block_hash", sa.LargeBinary(), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("protocol", "block_number", "log_index", name="pk_perps_funding_rates"),
    )
    op.create_index(
        "ix_perps_funding_rates_market",
        "perps_funding_rates",
        ["protocol", "market_id", "settled_at", "block_number", "log_index"],
        unique=False,
    )
    op.create_index(
        "ix_perps_funding_rates_settled",
        "perps_funding_rates",
        ["settled_at", "protocol", "block_number", "log_index"],
        unique=False,
    )
    op.create_table(
        "perps_funding_slots",
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("slot_at", MOMENT, nullable=False),
        sa.Column("intent_id", sa.Uuid(), nullable=True),
        sa.Column("recorded_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("protocol", "market_id", "slot_at", name="pk_perps_funding_slots"),
    )
    op.create_table(
        "perps_keeper_backoffs",
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("until", MOMENT, nullable=False),
        sa.Column("failed_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("protocol", "key", name="pk_perps_keeper_backoffs"),
    )
    op.create_table(
        "perps_liquidations",
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position_key", sa.Text(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("user_address", sa.LargeBinary(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("size_wad", WAD, nullable=False),
        sa.Column("liquidator", sa.LargeBinary(), nullable=False),
        sa.Column("price_wad", WAD, nullable=False),
        sa.Column("fee_wad", WAD, nullable=False),
        sa.Column("realized_pnl_wad", WAD, nullable=False),
        sa.Column("funding_paid_wad", WAD, nullable=False),
        sa.Column("bad_debt_wad", WAD, nullable=False),
        sa.Column("insurance_paid_wad", WAD, nullable=False),
        sa.Column("liquidated_at", MOMENT, nullable=False),
        sa.Column("block_hash", sa.LargeBinary(), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("protocol", "block_number", "log_index", name="pk_perps_liquidations"),
    )
    op.create_index(
        "ix_perps_liquidations_liquidated",
        "perps_liquidations",
        ["liquidated_at", "protocol", "block_number", "log_index"],
        unique=False,
    )
    op.create_index(
        "ix_perps_liquidations_market",
        "perps_liquidations",
        ["protocol", "market_id", "liquidated_at", "block_number", "log_index"],
        unique=False,
    )
    op.create_index("ix_perps_liquidations_position", "perps_liquidations", ["protocol", "position_key"], unique=False)
    op.create_index(
        "ix_perps_liquidations_user",
        "perps_liquidations",
        ["user_address", "liquidated_at", "protocol", "block_number", "log_index"],
        unique=False,
    )
    op.create_table(
        "perps_markets",
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("base_token", sa.Text(), nullable=False),
        sa.Column("quote_token", sa.Text(), nullable=False),
        sa.Column("pyth_price_id", sa.LargeBinary(), nullable=False),
        sa.Column("max_leverage_wad", WAD, nullable=False),
        sa.Column("maintenance_margin_rate_wad", WAD, nullable=False),
        sa.Column("liquidation_fee_rate_wad", WAD, nullable=False),
        sa.Column("open_fee_rate_wad", WAD, nullable=False),
        sa.Column("close_fee_rate_wad", WAD, nullable=False),
        sa.Column("funding_factor_per_second_wad", WAD, nullable=False),
        sa.Column("max_funding_rate_per_second_wad", WAD, nullable=False),
        sa.Column("max_price_age_seconds", sa.BigInteger(), nullable=False),
        sa.Column("max_confidence_bps", sa.Integer(), nullable=False),
        sa.Column("total_long_wad", WAD, nullable=False),
        sa.Column("total_short_wad", WAD, nullable=False),
        sa.Column("current_funding_rate_wad", WAD, nullable=False),
        sa.Column("long_funding_index_wad", WAD, nullable=False),
        sa.Column("short_funding_index_wad", WAD, nullable=False),
        sa.Column("last_funding_update", MOMENT, nullable=False),
        sa.Column("listed_at", MOMENT, nullable=False),
        sa.Column("listed_block_number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("octet_length(pyth_price_id) = 32", name="ck_perps_markets_price_id"),
        sa.PrimaryKeyConstraint("protocol", "market_id", name="pk_perps_markets"),
    )
    op.create_table(
        "perps_positions",
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("market_id", sa.Text(), nullable=False),
        sa.Column("user_address", sa.LargeBinary(), nullable=False),
        sa.Column("side", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("size_wad", WAD, nullable=False),
        sa.Column("collateral_wad", WAD, nullable=True),
        sa.Column("leverage_wad", WAD, nullable=True),
        sa.Column("entry_price_wad", WAD, nullable=False),
        sa.Column("exit_price_wad", WAD, nullable=True),
        sa.Column("entry_funding_index_wad", WAD, nullable=True),
        sa.Column("realized_pnl_wad", WAD, nullable=False),
        sa.Column("accumulated_funding_wad", WAD, nullable=False),
        sa.Column("fees_wad", WAD, nullable=False),
        sa.Column("tier", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("trigger_key", sa.Double(), nullable=True),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("opened_block_number", sa.BigInteger(), nullable=False),
        sa.Column("opened_log_index", sa.Integer(), nullable=False),
        sa.Column("opened_block_hash", sa.LargeBinary(), nullable=False),
        sa.Column("opened_transaction_hash", sa.LargeBinary(), nullable=False),
        sa.Column("changed_at", MOMENT, nullable=False),
        sa.Column("block_number", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.Integer(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("(status = 'open') = (exit_price_wad IS NULL)", name="ck_perps_positions_exit_price"),
        sa.CheckConstraint("side IN ('long', 'short')", name="ck_perps_positions_side"),
        sa.CheckConstraint("status IN ('open', 'closed', 'liquidated')", name="ck_perps_positions_status"),
        sa.CheckConstraint("octet_length(user_address) = 20", name="ck_perps_positions_user_address"),
        sa.CheckConstraint("size_wad >= 0", name="ck_perps_positions_size"),
        sa.PrimaryKeyConstraint("protocol", "key", name="pk_perps_positions"),
    )
    op.create_index(
        "ix_perps_positions_market", "perps_positions", ["protocol", "market_id", "opened_at", "key"], unique=False
    )
    op.create_index(
        "ix_perps_positions_open",
        "perps_positions",
        ["opened_at", "protocol", "key"],
        unique=False,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index("ix_perps_positions_opened", "perps_positions", ["opened_at", "protocol", "key"], unique=False)
    op.create_index(
        "ix_perps_positions_trigger",
        "perps_positions",
        ["protocol", "market_id", "side", "tier", "trigger_key"],
        unique=False,
        postgresql_where=sa.text("status = 'open'"),
    )
    op.create_index(
        "ix_perps_positions_user", "perps_positions", ["user_address", "opened_at", "protocol", "key"], unique=False
    )


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)
