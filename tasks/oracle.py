"""Tasks of the oracle."""

from __future__ import annotations

from typing import Any

from app.core.clock import utc_now
from app.jobs.services.run import JobRun
from app.oracle.jobs import REFRESH_PRICES
from app.oracle.services.refresh import refresh_prices
from tasks.base import job_task
from tasks.runtime import runtime


@job_task(REFRESH_PRICES)
def refresh(run: JobRun) -> dict[str, Any]:
    """Refresh the named feeds, or all; says how many prices were new, and which feeds were refused."""
    oracle = runtime().oracle
    summary = refresh_prices(
        run.session,
        source=oracle.source,
        trust=oracle.trust,
        window=oracle.window,
        clock=utc_now,
        names=run.params["feeds"],
    )
    return {
        "recorded": len(summary.recorded),
        "unchanged": len(summary.unchanged),
        "refused": {"0x" + feed.hex(): reason for feed, reason in summary.refused.items()},
    }
