"""Tasks of the oracle."""

from __future__ import annotations

from typing import Any

from app.core.clock import utc_now
from app.jobs.services.run import JobRun
from app.jobs.types import SYSTEM
from app.oracle.jobs import AGGREGATE_PRICES, REFRESH_PRICES
from app.oracle.services.aggregate import aggregate_prices
from app.oracle.services.refresh import refresh_prices
from app.perps.services.price_events import search_moved
from tasks.base import job_task
from tasks.runtime import runtime


@job_task(REFRESH_PRICES)
def refresh(run: JobRun) -> dict[str, Any]:
    """Refresh the named feeds, or all, and have those who act on the new prices look; says how many were new, and which
    feeds were refused.
    """
    context = runtime()
    oracle = context.oracle
    summary = refresh_prices(
        run.session,
        source=oracle.source,
        trust=oracle.trust,
        window=oracle.window,
        clock=utc_now,
        names=run.params["feeds"],
    )
    if context.signer is not None:
        search_moved(run.session, context.perps_protocols, set(summary.recorded), principal=SYSTEM)
    return {
        "recorded": len(summary.recorded),
        "unchanged": len(summary.unchanged),
        "refused": {"0x" + feed.hex(): reason for feed, reason in summary.refused.items()},
    }


@job_task(AGGREGATE_PRICES)
def aggregate(run: JobRun) -> dict[str, Any]:
    """Ask every source; says which symbols have a price, and why the others have none."""
    outcomes = aggregate_prices(
        run.session,
        sources=runtime().oracle.sources,
        read_all=runtime().read_all,
        chain_id=runtime().settings.chain.chain_id,
        clock=utc_now,
    )
    return {
        "priced": [one.symbol for one in outcomes if one.reason is None],
        "without_price": {one.symbol: str(one.reason) for one in outcomes if one.reason is not None},
    }
