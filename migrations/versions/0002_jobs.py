"""The durable queue"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002_jobs"
down_revision = "0001_outbox"
branch_labels = None
depends_on = None


# Only listed transitions; an ended row never changes; the fence never falls.
GUARD = """
CREATE FUNCTION jobs_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.finished_at IS NOT NULL THEN
        RAISE EXCEPTION 'job % has ended and does not change', OLD.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.fence < OLD.fence THEN
        RAISE EXCEPTION 'the fence of job % would fall', OLD.id USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.status <> OLD.status AND NOT (
        (OLD.status = 'queued' AND NEW.status IN ('running', 'cancelled', 'expired'))
        OR (OLD.status = 'running' AND NEW.status IN ('succeeded', 'failed', 'cancelled', 'queued', 'in_doubt'))
        OR (OLD.status = 'in_doubt' AND NEW.status IN ('succeeded', 'failed', 'queued'))
    ) THEN
        RAISE EXCEPTION 'job % may not go from % to %', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$
"""

# The transaction that ends a job releases the next one of its serial key and notes the callback that is due,
# whichever statement ended it: finish, cancel, expiry, rescue or an operator's own SQL.
# The advisory lock orders this against an insert or a refused claim of the same key, which look for a predecessor.
ENDED = """
CREATE FUNCTION jobs_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.callback_url IS NOT NULL THEN
        INSERT INTO job_callbacks (job_id, url) VALUES (NEW.id, NEW.callback_url) ON CONFLICT DO NOTHING;
    END IF;
    IF NEW.serial_key IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(NEW.serial_key, 0));
        UPDATE jobs SET blocked = false, dispatched_at = NULL
        WHERE blocked AND id = (
            SELECT id FROM jobs
            WHERE serial_key = NEW.serial_key AND status IN ('in_doubt', 'queued', 'running')
            ORDER BY coalesce(slot_at, '-infinity'::timestamptz), id LIMIT 1
        );
    END IF;
    RETURN NULL;
END $$
"""

# A job whose serial key has an older live job waits unseen by the dispatcher.
QUEUE_UP = """
CREATE FUNCTION jobs_queue_up() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.serial_key, 0));
    NEW.blocked := EXISTS (
        SELECT FROM jobs o
        WHERE o.serial_key = NEW.serial_key AND o.status IN ('in_doubt', 'queued', 'running')
        AND (coalesce(o.slot_at, '-infinity'::timestamptz), o.id)
            < (coalesce(NEW.slot_at, '-infinity'::timestamptz), NEW.id)
    );
    RETURN NEW;
END $$
"""


def upgrade() -> None:
    op.create_table(
        "effects",
        sa.Column("effect_key", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("repeatable", sa.Boolean(), nullable=False),
        sa.Column("phase", sa.Text(), nullable=False),
        sa.Column("response", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("statement_timestamp()"),
            nullable=False,
        ),
        sa.Column("done_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint("phase IN ('sending', 'done')", name=op.f("ck_effects_phase")),
        sa.PrimaryKeyConstraint("effect_key", name=op.f("pk_effects")),
    )
    op.create_index(
        "ix_effects_unsettled",
        "effects",
        ["job_id"],
        unique=False,
        postgresql_where=sa.text("phase = 'sending' AND NOT repeatable"),
    )
    op.create_table(
        "job_callbacks",
        sa.Column("job_id", sa.Uuid(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("statement_timestamp()"),
            nullable=False,
        ),
        sa.Column("delivery_job_id", sa.Uuid(), nullable=True),
        sa.Column("delivered_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_job_callbacks")),
    )
    op.create_index(
        "ix_job_callbacks_waiting",
        "job_callbacks",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("delivery_job_id IS NULL"),
    )
    op.create_table(
        "job_keys",
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(), nullable=False),
        sa.Column("answer", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("principal", "route", "key", name=op.f("pk_job_keys")),
    )
    op.create_index("ix_job_keys_expires_at", "job_keys", ["expires_at"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("finished_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("claim_token", sa.Uuid(), nullable=True),
        sa.Column("lease_until", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("blocked", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("cursor", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("dispatched_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("dispatch_count", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "run_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("statement_timestamp()"),
            nullable=False,
        ),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("cancel_requested_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("overlap_key", sa.Text(), nullable=True),
        sa.Column("serial_key", sa.Text(), nullable=True),
        sa.Column("schedule", sa.Text(), nullable=True),
        sa.Column("slot_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("progress", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("callback_url", sa.Text(), nullable=True),
        sa.Column("retried_from", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("statement_timestamp()"),
            nullable=False,
        ),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'running') = (claim_token IS NOT NULL) AND (status = 'running') = (lease_until IS NOT NULL)",
            name=op.f("ck_jobs_running_has_a_lease"),
        ),
        sa.CheckConstraint(
            "(status IN ('cancelled', 'expired', 'failed', 'succeeded')) = (finished_at IS NOT NULL)",
            name=op.f("ck_jobs_ended_has_a_time"),
        ),
        sa.CheckConstraint(
            "NOT blocked OR (status = 'queued' AND serial_key IS NOT NULL)", name=op.f("ck_jobs_blocked_is_queued")
        ),
        sa.CheckConstraint(
            "status IN ('cancelled', 'expired', 'failed', 'in_doubt', 'queued', 'running', 'succeeded')",
            name=op.f("ck_jobs_status"),
        ),
        sa.CheckConstraint("attempt BETWEEN 0 AND max_attempts", name=op.f("ck_jobs_attempts_bounded")),
        sa.CheckConstraint("priority BETWEEN 0 AND 9", name=op.f("ck_jobs_priority")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("schedule", "slot_at", name="uq_jobs_schedule_slot_at"),
    )
    op.create_index(
        "ix_jobs_ended", "jobs", ["finished_at"], unique=False, postgresql_where=sa.text("finished_at IS NOT NULL")
    )
    op.create_index(
        "ix_jobs_expiry",
        "jobs",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND expires_at IS NOT NULL"),
    )
    op.create_index(
        "ix_jobs_lease", "jobs", ["lease_until"], unique=False, postgresql_where=sa.text("status = 'running'")
    )
    op.create_index("ix_jobs_principal_id", "jobs", ["principal", "id"], unique=False)
    op.create_index("ix_jobs_principal_kind_id", "jobs", ["principal", "kind", "id"], unique=False)
    op.create_index("ix_jobs_principal_status_id", "jobs", ["principal", "status", "id"], unique=False)
    op.create_index(
        "ix_jobs_ready",
        "jobs",
        ["queue", "priority", "run_at", "id"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND dispatched_at IS NULL AND NOT blocked"),
    )
    op.create_index(
        "ix_jobs_serial_order",
        "jobs",
        ["serial_key", sa.literal_column("coalesce(slot_at, '-infinity'::timestamptz)"), "id"],
        unique=False,
        postgresql_where=sa.text("serial_key IS NOT NULL AND status IN ('in_doubt', 'queued', 'running')"),
    )
    op.create_index(
        "ix_jobs_window",
        "jobs",
        ["queue", "dispatched_at"],
        unique=False,
        postgresql_where=sa.text("status = 'queued' AND dispatched_at IS NOT NULL"),
    )
    op.create_index(
        "uq_jobs_overlap_key_live",
        "jobs",
        ["overlap_key"],
        unique=True,
        postgresql_where=sa.text("status IN ('in_doubt', 'queued', 'running')"),
    )
    op.create_index(
        "uq_jobs_serial_key_busy",
        "jobs",
        ["serial_key"],
        unique=True,
        postgresql_where=sa.text("status IN ('in_doubt', 'running')"),
    )
    op.create_table(
        "jobs_archive",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("finished_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "run_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("statement_timestamp()"),
            nullable=False,
        ),
        sa.Column("expires_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("crashes", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("worker", sa.Text(), nullable=True),
        sa.Column("cancel_requested_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("overlap_key", sa.Text(), nullable=True),
        sa.Column("serial_key", sa.Text(), nullable=True),
        sa.Column("schedule", sa.Text(), nullable=True),
        sa.Column("slot_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.Column("progress", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("result", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("error", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("callback_url", sa.Text(), nullable=True),
        sa.Column("retried_from", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("statement_timestamp()"),
            nullable=False,
        ),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", "finished_at", name=op.f("pk_jobs_archive")),
        postgresql_partition_by="RANGE (finished_at)",
    )
    op.create_index("ix_jobs_archive_principal_id", "jobs_archive", ["principal", "id"], unique=False)
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("interval_seconds", sa.Integer(), nullable=True),
        sa.Column("crontab", sa.Text(), nullable=True),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("catch_up", sa.Text(), nullable=False),
        sa.Column("catch_up_limit", sa.Integer(), nullable=False),
        sa.Column("catch_up_window_seconds", sa.Integer(), nullable=False),
        sa.Column("overlap", sa.Text(), nullable=False),
        sa.Column("retired", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("paused", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("override_interval_seconds", sa.Integer(), nullable=True),
        sa.Column("override_crontab", sa.Text(), nullable=True),
        sa.Column("override_time_zone", sa.Text(), nullable=True),
        sa.Column("anchor_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("mark_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("next_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("statement_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("catch_up IN ('none', 'latest', 'all')", name=op.f("ck_schedules_catch_up")),
        sa.CheckConstraint("overlap IN ('skip', 'queue')", name=op.f("ck_schedules_overlap")),
        sa.CheckConstraint("(interval_seconds IS NULL) <> (crontab IS NULL)", name=op.f("ck_schedules_one_cadence")),
        sa.CheckConstraint(
            "override_interval_seconds IS NULL OR override_crontab IS NULL",
            name=op.f("ck_schedules_at_most_one_override"),
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_schedules")),
    )
    op.create_index(
        "ix_schedules_next_at",
        "schedules",
        ["next_at"],
        unique=False,
        postgresql_where=sa.text("NOT paused AND NOT retired"),
    )
    op.create_table(
        "schedule_slots",
        sa.Column("schedule", sa.Text(), nullable=False),
        sa.Column("slot_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("job_id", sa.Uuid(), nullable=True),
        sa.Column("skipped", sa.Text(), nullable=True),
        sa.Column("slots", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("statement_timestamp()"),
            nullable=False,
        ),
        sa.CheckConstraint("skipped IN ('overlap', 'catch_up')", name=op.f("ck_schedule_slots_skipped")),
        sa.CheckConstraint("(job_id IS NULL) = (skipped IS NOT NULL)", name=op.f("ck_schedule_slots_job_or_skipped")),
        sa.ForeignKeyConstraint(
            ["schedule"], ["schedules.name"], name=op.f("fk_schedule_slots_schedule"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("schedule", "slot_at", name=op.f("pk_schedule_slots")),
    )
    op.execute("CREATE TABLE jobs_archive_default PARTITION OF jobs_archive DEFAULT")
    op.execute("ALTER TABLE jobs SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02)")
    op.execute(GUARD)
    op.execute("CREATE TRIGGER jobs_guard BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION jobs_guard()")
    op.execute(ENDED)
    op.execute(
        "CREATE TRIGGER jobs_ended AFTER UPDATE OF status ON jobs FOR EACH ROW"
        " WHEN (NEW.finished_at IS NOT NULL AND OLD.finished_at IS NULL"
        " AND (NEW.serial_key IS NOT NULL OR NEW.callback_url IS NOT NULL))"
        " EXECUTE FUNCTION jobs_ended()"
    )
    op.execute(QUEUE_UP)
    op.execute(
        "CREATE TRIGGER jobs_queue_up BEFORE INSERT ON jobs FOR EACH ROW"
        " WHEN (NEW.serial_key IS NOT NULL) EXECUTE FUNCTION jobs_queue_up()"
    )


def downgrade() -> None:
    op.drop_table("schedule_slots")
    op.drop_index(
        "ix_schedules_next_at", table_name="schedules", postgresql_where=sa.text("NOT paused AND NOT retired")
    )
    op.drop_table("schedules")
    op.drop_index("ix_jobs_archive_principal_id", table_name="jobs_archive")
    op.drop_table("jobs_archive")
    op.drop_index(
        "uq_jobs_serial_key_busy", table_name="jobs", postgresql_where=sa.text("status IN ('in_doubt', 'running')")
    )
    op.drop_index(
        "uq_jobs_overlap_key_live",
        table_name="jobs",
        postgresql_where=sa.text("status IN ('in_doubt', 'queued', 'running')"),
    )
    op.drop_index(
        "ix_jobs_window", table_name="jobs", postgresql_where=sa.text("status = 'queued' AND dispatched_at IS NOT NULL")
    )
    op.drop_index(
        "ix_jobs_serial_order",
        table_name="jobs",
        postgresql_where=sa.text("serial_key IS NOT NULL AND status IN ('in_doubt', 'queued', 'running')"),
    )
    op.drop_index(
        "ix_jobs_ready",
        table_name="jobs",
        postgresql_where=sa.text("status = 'queued' AND dispatched_at IS NULL AND NOT blocked"),
    )
    op.drop_index("ix_jobs_principal_status_id", table_name="jobs")
    op.drop_index("ix_jobs_principal_kind_id", table_name="jobs")
    op.drop_index("ix_jobs_principal_id", table_name="jobs")
    op.drop_index("ix_jobs_lease", table_name="jobs", postgresql_where=sa.text("status = 'running'"))
    op.drop_index(
        "ix_jobs_expiry", table_name="jobs", postgresql_where=sa.text("status = 'queued' AND expires_at IS NOT NULL")
    )
    op.drop_index("ix_jobs_ended", table_name="jobs", postgresql_where=sa.text("finished_at IS NOT NULL"))
    op.drop_table("jobs")
    op.drop_index("ix_job_keys_expires_at", table_name="job_keys")
    op.drop_table("job_keys")
    op.drop_index(
        "ix_job_callbacks_waiting", table_name="job_callbacks", postgresql_where=sa.text("delivery_job_id IS NULL")
    )
    op.drop_table("job_callbacks")
    op.drop_index(
        "ix_effects_unsettled", table_name="effects", postgresql_where=sa.text("phase = 'sending' AND NOT repeatable")
    )
    op.drop_table("effects")
    for function in ("jobs_guard", "jobs_ended", "jobs_queue_up"):
        op.execute(f"DROP FUNCTION {function}()")
