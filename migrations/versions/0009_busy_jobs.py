"""Job indexes: those that run have an index of their own, which stays one page however many have failed"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009_busy_jobs"
down_revision = "0008_job_indexes"
branch_labels = None
depends_on = None

BUSY = "status IN ('in_doubt', 'running')"
UNLUCKY = "status IN ('cancelled', 'expired', 'failed')"
RARE = "status IN ('cancelled', 'expired', 'failed', 'in_doubt', 'running')"


def upgrade() -> None:
    op.drop_index("ix_jobs_status_id", table_name="jobs")
    _index("ix_jobs_busy", BUSY)
    _index("ix_jobs_unlucky", UNLUCKY)


def downgrade() -> None:
    op.drop_index("ix_jobs_unlucky", table_name="jobs")
    op.drop_index("ix_jobs_busy", table_name="jobs")
    _index("ix_jobs_status_id", RARE)


def _index(name: str, where: str) -> None:
    op.create_index(name, "jobs", ["status", "id"], postgresql_where=sa.text(where))
