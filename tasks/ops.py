"""Tasks of operations."""

from __future__ import annotations

from typing import Any

from app.core.clock import utc_now
from app.jobs.services.run import JobRun
from app.ops.jobs import PRUNE
from app.ops.services.prune import partitioned_tables, prune
from tasks.base import job_task
from tasks.runtime import runtime


@job_task(PRUNE)
def prune_all(run: JobRun) -> dict[str, Any]:
    """Partitions and old rows."""
    settings = runtime().settings
    days = settings.jobs.archive_keep_days
    tables = partitioned_tables(
        archive_keep_days=days,
        price_keep_months=settings.oracle.history_months,
        aggregate_keep_days=settings.oracle.aggregation.keep_days,
    )
    return prune(run.session, tables, keep_days=days, now=utc_now(), commit=run.step)
