"""Streaming: the order of events, each subject's latest, and jobs that somebody watches"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

revision = "0016_streaming"
down_revision = "0015_oracle_candles"
branch_labels = None
depends_on = None

UNNUMBERED = sa.text("number IS NULL")

# A job that somebody watches tells of each change of its status, attempt or progress, whichever statement made it.
TELL = """
CREATE FUNCTION jobs_tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO outbox (id, topic, subject, standing, payload)
    VALUES (gen_random_uuid(), 'jobs:' || NEW.id, NEW.id, 'state', jsonb_build_object(
        'id', NEW.id, 'kind', NEW.kind, 'status', NEW.status, 'attempt', NEW.attempt,
        'max_attempts', NEW.max_attempts, 'progress', NEW.progress, 'error', NEW.error));
    RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.add_column("outbox", sa.Column("standing", sa.Text(), server_default=sa.text("'fact'"), nullable=False))
    op.create_check_constraint("ck_outbox_standing", "outbox", "standing IN ('fact', 'state', 'end')")
    op.add_column("outbox", sa.Column("place", sa.BigInteger(), sa.Identity(always=True), nullable=False))
    op.drop_index("ix_outbox_unnumbered", "outbox")
    op.create_index("ix_outbox_unnumbered", "outbox", ["place"], postgresql_where=UNNUMBERED)
    op.create_table(
        "outbox_latest",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("payload", JSONB(), nullable=False),
        sa.Column("created_at", TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("topic", "subject", name="pk_outbox_latest"),
    )
    op.add_column("jobs", sa.Column("watched", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.execute(TELL)
    op.execute(
        "CREATE TRIGGER jobs_tell AFTER UPDATE ON jobs FOR EACH ROW WHEN (NEW.watched AND"
        " (NOT OLD.watched OR NEW.status <> OLD.status OR NEW.attempt <> OLD.attempt"
        " OR NEW.progress IS DISTINCT FROM OLD.progress))"
        " EXECUTE FUNCTION jobs_tell()"
    )


def downgrade() -> None:
    op.execute("DROP TRIGGER jobs_tell ON jobs")
    op.execute("DROP FUNCTION jobs_tell()")
    op.drop_column("jobs", "watched")
    op.drop_table("outbox_latest")
    op.drop_index("ix_outbox_unnumbered", "outbox")
    op.drop_column("outbox", "place")
    op.create_index("ix_outbox_unnumbered", "outbox", ["id"], postgresql_where=UNNUMBERED)
    op.drop_column("outbox", "standing")
