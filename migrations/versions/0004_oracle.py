"""Price feeds, and the price history in monthly partitions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0004_oracle"
down_revision = "0003_accounts"
branch_labels = None
depends_on = None

UNSIGNED_64 = sa.Numeric(20, 0)
MOMENT = TIMESTAMP(timezone=True)

# The current month and the next; the scheduled job keeps making them, and the default partition takes what has none.
FIRST_MONTHS = """
DO $$
DECLARE
    first timestamp;  -- UTC
BEGIN
    FOR ahead IN 0..1 LOOP
        first := date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => ahead);
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF oracle_prices FOR VALUES FROM (%L) TO (%L)',
            'oracle_prices_p' || to_char(first, 'YYYYMM'),
            first AT TIME ZONE 'UTC',
            (first + interval '1 month') AT TIME ZONE 'UTC'
        );
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "oracle_feeds",
        sa.Column("id", sa.LargeBinary(), nullable=False),
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=True),
        sa.Column("conf", UNSIGNED_64, nullable=True),
        sa.Column("expo", sa.Integer(), nullable=True),
        sa.Column("publish_time", MOMENT, nullable=True),
        sa.Column("ema_price", sa.BigInteger(), nullable=True),
        sa.Column("ema_conf", UNSIGNED_64, nullable=True),
        sa.Column("slot", UNSIGNED_64, nullable=True),
        sa.Column("sequence", UNSIGNED_64, nullable=True),
        sa.CheckConstraint("octet_length(id) = 32", name=op.f("ck_oracle_feeds_id_length")),
        sa.CheckConstraint("source IN ('pyth')", name=op.f("ck_oracle_feeds_source")),
        sa.CheckConstraint(
            "num_nulls(price, conf, expo, publish_time, ema_price, ema_conf, slot, sequence) IN (0, 8)",
            name=op.f("ck_oracle_feeds_price_whole"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_oracle_feeds")),
        sa.UniqueConstraint("symbol", name="uq_oracle_feeds_symbol"),
    )
    # Every refresh rewrites every row; free space on the page keeps that off the index.
    op.execute("ALTER TABLE oracle_feeds SET (fillfactor = 50)")
    op.create_table(
        "oracle_prices",
        sa.Column("feed", sa.LargeBinary(), nullable=False),
        sa.Column("publish_time", MOMENT, nullable=False),
        sa.Column("price", sa.BigInteger(), nullable=False),
        sa.Column("conf", UNSIGNED_64, nullable=False),
        sa.Column("expo", sa.Integer(), nullable=False),
        sa.Column("ema_price", sa.BigInteger(), nullable=False),
        sa.Column("ema_conf", UNSIGNED_64, nullable=False),
        sa.Column("slot", UNSIGNED_64, nullable=False),
        sa.Column("sequence", UNSIGNED_64, nullable=False),
        sa.ForeignKeyConstraint(["feed"], ["oracle_feeds.id"], name=op.f("fk_oracle_prices_feed")),
        sa.PrimaryKeyConstraint("feed", "publish_time", name=op.f("pk_oracle_prices")),
        postgresql_partition_by="RANGE (publish_time)",
    )
    op.execute("CREATE TABLE oracle_prices_default PARTITION OF oracle_prices DEFAULT")
    op.execute(FIRST_MONTHS)


def downgrade() -> None:
    op.drop_table("oracle_prices")
    op.drop_table("oracle_feeds")
