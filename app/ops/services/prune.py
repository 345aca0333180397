"""The daily chore: partitions ahead, old ones gone, old rows forgotten."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from app.accounts.services.prune import prune as prune_accounts
from app.chain.services.prune import prune as prune_chain
from app.jobs.services.prune import prune_queue
from app.ops.services.partitions import drop_old, make_ahead
from app.ops.types import PartitionedTable, PeriodLength


def partitioned_tables(
    *, archive_keep_days: int, price_keep_months: int, aggregate_keep_days: int
) -> Sequence[PartitionedTable]:
    """Every table in partitions by time, with how long its rows are kept."""
    return (
        PartitionedTable("jobs_archive", "finished_at", PeriodLength.DAY, ahead=3, keep=archive_keep_days),
        PartitionedTable("oracle_prices", "publish_time", PeriodLength.MONTH, ahead=2, keep=price_keep_months),
        PartitionedTable("oracle_candles", "opened_at", PeriodLength.MONTH, ahead=2, keep=price_keep_months),
        PartitionedTable("oracle_aggregates", "as_of", PeriodLength.DAY, ahead=3, keep=aggregate_keep_days),
    )


def prune(
    session: Session, tables: Sequence[PartitionedTable], *, keep_days: int, now: datetime, commit: Callable[[], None]
) -> dict[str, Any]:
    """Do the chore, each part in a transaction of its own; returns what was made and what went."""
    made: list[str] = []
    dropped: list[str] = []
    for table in tables:
        made += make_ahead(session, table, now=now)
        commit()
        dropped += drop_old(session, table, now=now)
        commit()
    deleted = prune_queue(session, days=keep_days, commit=commit) | prune_chain(session, days=keep_days, commit=commit)
    deleted |= prune_accounts(session, now)
    commit()
    return {"made": made, "dropped": dropped, "deleted": deleted}
