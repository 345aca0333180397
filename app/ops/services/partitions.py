"""Keeps the partitioned tables: periods made ahead, old ones dropped whole.

An insert never fails for want of a partition: the default one takes what has none, and a period made late moves its
rows over. So the writers need no DDL.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.ops import queries
from app.ops.maths.periods import Period, period_of
from app.ops.types import PartitionedTable


def make_ahead(session: Session, table: PartitionedTable, *, now: datetime) -> Sequence[str]:
    """Make the present period's partition and the next ones, where they are missing; returns the new names.

    Locks writers out only when there is something to make, which is once a period.
    """
    first = Period.of(now, table.length)
    wanted = [first.plus(ahead) for ahead in range(table.ahead + 1)]
    if not _missing(session, table, wanted):
        return []
    queries.lock_writers_out(session, table.name)
    missing = _missing(session, table, wanted)
    for period in missing:
        queries.make_partition(session, table, period)
    return [period.partition(table.name) for period in missing]


def drop_old(session: Session, table: PartitionedTable, *, now: datetime) -> Sequence[str]:
    """Drop the periods that ended more than `keep` periods ago; returns their names."""
    oldest = Period.of(now, table.length).plus(-table.keep)
    names = queries.list_partitions(session, table.name)
    old = [name for name in names if (period := period_of(name)) is not None and period < oldest]
    for name in old:
        queries.drop_partition(session, name)
    return old


def _missing(session: Session, table: PartitionedTable, wanted: Sequence[Period]) -> Sequence[Period]:
    there = set(queries.list_partitions(session, table.name))
    return [period for period in wanted if period.partition(table.name) not in there]
