"""Candles of every feed, kept with each price that is recorded"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TIMESTAMP

revision = "0015_oracle_candles"
down_revision = "0014_oracle_sources"
branch_labels = None
depends_on = None

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
            'CREATE TABLE %I PARTITION OF oracle_candles FOR VALUES FROM (%L) TO (%L)',
            'oracle_candles_p' || to_char(first, 'YYYYMM'),
            first AT TIME ZONE 'UTC',
            (first + interval '1 month') AT TIME ZONE 'UTC'
        );
    END LOOP;
END $$
"""

# What was recorded before candles were kept.
FROM_HISTORY = """
INSERT INTO oracle_candles (feed, interval_seconds, opened_at, open, high, low, close, first_at, last_at, ticks)
SELECT feed, seconds, opened_at, (array_agg(value ORDER BY publish_time))[1], max(value), min(value),
       (array_agg(value ORDER BY publish_time DESC))[1], min(publish_time), max(publish_time), count(*)
FROM (
    SELECT p.feed, i.seconds, p.publish_time,
           p.price * CAST('1e' || p.expo AS numeric) AS value,
           date_bin(make_interval(secs => i.seconds), p.publish_time, TIMESTAMPTZ '1970-01-01 00:00:00+00') AS opened_at
    FROM oracle_prices p CROSS JOIN unnest(ARRAY[60, 300, 900, 1800, 3600, 14400, 86400]) AS i(seconds)
) AS ticks
GROUP BY feed, seconds, opened_at
"""


def upgrade() -> None:
    op.create_table(
        "oracle_candles",
        sa.Column("feed", sa.LargeBinary(), nullable=False),
        sa.Column("interval_seconds", sa.Integer(), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("open", sa.Numeric(), nullable=False),
        sa.Column("high", sa.Numeric(), nullable=False),
        sa.Column("low", sa.Numeric(), nullable=False),
        sa.Column("close", sa.Numeric(), nullable=False),
        sa.Column("first_at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("ticks", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "low <= least(open, close) AND greatest(open, close) <= high AND ticks >= 1 AND first_at <= last_at",
            name=op.f("ck_oracle_candles_shape"),
        ),
        sa.ForeignKeyConstraint(["feed"], ["oracle_feeds.id"], name=op.f("fk_oracle_candles_feed")),
        sa.PrimaryKeyConstraint("feed", "interval_seconds", "opened_at", name=op.f("pk_oracle_candles")),
        postgresql_partition_by="RANGE (opened_at)",
    )
    op.execute("CREATE TABLE oracle_candles_default PARTITION OF oracle_candles DEFAULT")
    op.execute(FIRST_MONTHS)
    op.execute(FROM_HISTORY)


def downgrade() -> None:
    op.drop_table("oracle_candles")
