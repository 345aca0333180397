"""Sources beside Pyth: their last quotes, the aggregates with their inputs, the sequencer"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0014_oracle_sources"
down_revision = "0013_backfills"
branch_labels = None
depends_on = None

MOMENT = TIMESTAMP(timezone=True)
WHOLE = sa.Numeric(78, 0)

# Today and the three days after; the scheduled job keeps making them, and the default partition takes what has none.
FIRST_DAYS = """
DO $$
DECLARE
    first timestamp;  -- UTC
BEGIN
    FOR ahead IN 0..3 LOOP
        first := date_trunc('day', now() AT TIME ZONE 'UTC') + make_interval(days => ahead);
        EXECUTE format(
            'CREATE TABLE %I PARTITION OF oracle_aggregates FOR VALUES FROM (%L) TO (%L)',
            'oracle_aggregates_p' || to_char(first, 'YYYYMMDD'),
            first AT TIME ZONE 'UTC',
            (first + interval '1 day') AT TIME ZONE 'UTC'
        );
    END LOOP;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "oracle_quotes",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("price", sa.Numeric()),
        sa.Column("confidence", sa.Numeric()),
        sa.Column("observed_at", MOMENT),
        sa.Column("round_id", WHOLE),
        sa.Column("flaw", sa.Text()),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.CheckConstraint(
            "num_nulls(price, confidence, observed_at) IN (0, 3)", name=op.f("ck_oracle_quotes_price_whole")
        ),
        sa.CheckConstraint("price IS NOT NULL OR flaw IS NOT NULL", name=op.f("ck_oracle_quotes_price_or_flaw")),
        sa.PrimaryKeyConstraint("symbol", "source", name=op.f("pk_oracle_quotes")),
    )
    op.execute("ALTER TABLE oracle_quotes SET (fillfactor = 50)")
    op.create_table(
        "oracle_aggregates",
        sa.Column("symbol", sa.Text(), nullable=False),
        sa.Column("as_of", MOMENT, nullable=False),
        sa.Column("price", WHOLE),
        sa.Column("confidence", WHOLE),
        sa.Column("reason", sa.Text()),
        sa.Column("sources", JSONB(), nullable=False),
        sa.Column("last", WHOLE),
        sa.Column("last_at", MOMENT),
        sa.Column("ema", WHOLE),
        sa.Column("pending", WHOLE),
        sa.CheckConstraint(
            "num_nulls(price, confidence) IN (0, 2) AND (price IS NULL) = (reason IS NOT NULL)",
            name=op.f("ck_oracle_aggregates_price_or_reason"),
        ),
        sa.PrimaryKeyConstraint("symbol", "as_of", name=op.f("pk_oracle_aggregates")),
        postgresql_partition_by="RANGE (as_of)",
    )
    op.execute("CREATE TABLE oracle_aggregates_default PARTITION OF oracle_aggregates DEFAULT")
    op.execute(FIRST_DAYS)
    op.create_table(
        "oracle_sequencers",
        sa.Column("chain_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("up", sa.Boolean(), nullable=False),
        sa.Column("since", MOMENT, nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("chain_id", name=op.f("pk_oracle_sequencers")),
    )


def downgrade() -> None:
    op.drop_table("oracle_sequencers")
    op.drop_table("oracle_aggregates")
    op.drop_table("oracle_quotes")
