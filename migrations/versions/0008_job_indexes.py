"""Job indexes: fewer entries to write for each claim, and a bounded page for every list"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008_job_indexes"
down_revision = "0007_perps"
branch_labels = None
depends_on = None

LIVE = "status IN ('in_doubt', 'queued', 'running')"
BUSY = "status IN ('in_doubt', 'running')"
RARE = "status IN ('cancelled', 'expired', 'failed', 'in_doubt', 'running')"


def upgrade() -> None:
    op.drop_constraint("uq_jobs_schedule_slot_at", "jobs", type_="unique")
    for index in ("ix_jobs_lease", "ix_jobs_principal_kind_id", "uq_jobs_overlap_key_live", "uq_jobs_serial_key_busy"):
        op.drop_index(index, table_name="jobs")
    _index("uq_jobs_schedule_slot_at", "jobs", ["schedule", "slot_at"], "schedule IS NOT NULL", unique=True)
    _index("uq_jobs_overlap_key_live", "jobs", ["overlap_key"], f"overlap_key IS NOT NULL AND {LIVE}", unique=True)
    _index("uq_jobs_serial_key_busy", "jobs", ["serial_key"], f"serial_key IS NOT NULL AND {BUSY}", unique=True)
    for table in ("jobs", "jobs_archive"):
        _index(f"ix_{table}_status_id", table, ["status", "id"], RARE)
        _index(f"ix_{table}_schedule_id", table, ["schedule", "id"], "schedule IS NOT NULL")
    op.create_index("ix_jobs_archive_principal_status_id", "jobs_archive", ["principal", "status", "id"])


def downgrade() -> None:
    op.drop_index("ix_jobs_archive_principal_status_id", table_name="jobs_archive")
    for table in ("jobs", "jobs_archive"):
        op.drop_index(f"ix_{table}_status_id", table_name=table)
        op.drop_index(f"ix_{table}_schedule_id", table_name=table)
    for index in ("uq_jobs_schedule_slot_at", "uq_jobs_overlap_key_live", "uq_jobs_serial_key_busy"):
        op.drop_index(index, table_name="jobs")
    _index("uq_jobs_serial_key_busy", "jobs", ["serial_key"], BUSY, unique=True)
    _index("uq_jobs_overlap_key_live", "jobs", ["overlap_key"], LIVE, unique=True)
    op.create_index("ix_jobs_principal_kind_id", "jobs", ["principal", "kind", "id"])
    _index("ix_jobs_lease", "jobs", ["lease_until"], "status = 'running'")
    op.create_unique_constraint("uq_jobs_schedule_slot_at", "jobs", ["schedule", "slot_at"])


def _index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    op.create_index(name, table, columns, unique=unique, postgresql_where=sa.text(where))
