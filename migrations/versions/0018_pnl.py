"""PnL entries; what owners have paid into positions; funding that is settled by ourselves"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0018_pnl"
down_revision = "0017_orders"
branch_labels = None
depends_on = None

WAD = sa.Numeric(78, 0)
MOMENT = TIMESTAMP(timezone=True)
AMOUNTS = (
    "realized_pnl_wad",
    "funding_paid_wad",
    "fee_wad",
    "transfer_wad",
    "covered_wad",
    "long_moved_wad",
    "short_moved_wad",
    "position_pnl_wad",
    "position_transfers_wad",
    "account_pnl_wad",
    "account_transfers_wad",
)
# What is held is what was paid in and what was won: so far, by what the rows say; entries begin with the next event.
TRANSFERS = """
    UPDATE perps_positions p
    SET net_transfers_wad = CASE WHEN collateral_wad IS NULL THEN 0 ELSE
        CASE WHEN status = 'open' THEN collateral_wad ELSE 0 END
        - (realized_pnl_wad - accumulated_funding_wad - fees_wad)
        - coalesce((SELECT sum(l.bad_debt_wad) FROM perps_liquidations l
                    WHERE l.protocol = p.protocol AND l.position_key = p.key), 0) END
"""


def upgrade() -> None:
    op.create_table(
        "perps_pnl_entries",
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("block_number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("log_index", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position_key", sa.Text()),
        sa.Column("market_id", sa.Text()),
        sa.Column("user_address", sa.LargeBinary(), nullable=False),
        *(sa.Column(name, WAD, nullable=False) for name in AMOUNTS),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("block_hash", sa.LargeBinary(), nullable=False),
        sa.Column("transaction_hash", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("octet_length(user_address) = 20", name="ck_perps_pnl_entries_user_address"),
        sa.CheckConstraint("(position_key IS NULL) = (market_id IS NULL)", name="ck_perps_pnl_entries_position"),
        sa.PrimaryKeyConstraint("protocol", "block_number", "log_index", name="pk_perps_pnl_entries"),
    )
    for name, columns in {
        "at": ["at", "protocol", "block_number", "log_index"],
        "user": ["user_address", "at", "protocol", "block_number", "log_index"],
        "account": ["protocol", "user_address", "block_number", "log_index"],
        "position": ["protocol", "position_key", "at", "block_number", "log_index"],
        "market": ["protocol", "market_id", "at"],
    }.items():
        op.create_index(f"ix_perps_pnl_entries_{name}", "perps_pnl_entries", columns)
    op.add_column("perps_positions", sa.Column("net_transfers_wad", WAD, server_default=sa.text("0"), nullable=False))
    op.execute(TRANSFERS)
    op.add_column("perps_markets", sa.Column("terms_changed_at", MOMENT))
    op.execute("UPDATE perps_markets SET terms_changed_at = now()")  # not known; the past is then read from its events
    op.alter_column("perps_markets", "terms_changed_at", existing_type=MOMENT, nullable=False)
    _key(["protocol", "market_id", "settled_at", "block_number", "log_index"])
    op.alter_column("perps_funding_rates", "transaction_hash", existing_type=sa.LargeBinary(), nullable=True)
    op.create_check_constraint(
        op.f("ck_perps_funding_rates_computed"),
        "perps_funding_rates",
        "(transaction_hash IS NULL) = (log_index = -1)",
    )
    op.drop_index("ix_perps_funding_rates_market", "perps_funding_rates")
    op.create_index("ix_perps_funding_rates_block", "perps_funding_rates", ["protocol", "block_number"])
    _settled(["settled_at", "protocol", "market_id", "block_number", "log_index"])
    op.create_index(
        "uq_perps_funding_rates_slot",
        "perps_funding_rates",
        ["protocol", "market_id", "settled_at"],
        unique=True,
        postgresql_where=sa.text("log_index = -1"),
    )


def downgrade() -> None:
    op.execute("DELETE FROM perps_funding_rates WHERE log_index = -1")  # there was no room for our own
    op.drop_index("uq_perps_funding_rates_slot", "perps_funding_rates")
    _settled(["settled_at", "protocol", "block_number", "log_index"])
    op.drop_index("ix_perps_funding_rates_block", "perps_funding_rates")
    op.create_index(
        "ix_perps_funding_rates_market",
        "perps_funding_rates",
        ["protocol", "market_id", "settled_at", "block_number", "log_index"],
    )
    op.drop_constraint(op.f("ck_perps_funding_rates_computed"), "perps_funding_rates", type_="check")
    op.alter_column("perps_funding_rates", "transaction_hash", existing_type=sa.LargeBinary(), nullable=False)
    _key(["protocol", "block_number", "log_index"])
    op.drop_column("perps_markets", "terms_changed_at")
    op.drop_column("perps_positions", "net_transfers_wad")
    op.drop_table("perps_pnl_entries")


def _key(columns: list[str]) -> None:
    op.drop_constraint("pk_perps_funding_rates", "perps_funding_rates", type_="primary")
    op.create_primary_key("pk_perps_funding_rates", "perps_funding_rates", columns)


def _settled(columns: list[str]) -> None:
    op.drop_index("ix_perps_funding_rates_settled", "perps_funding_rates")
    op.create_index("ix_perps_funding_rates_settled", "perps_funding_rates", columns)
