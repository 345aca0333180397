"""Keeps the history's months: made ahead, dropped when old.

An insert never fails for want of a partition: the default partition takes what has none, so recording a price needs no
DDL and no right to make tables. A month made late moves its rows over from the default partition.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.oracle.maths.months import Month, month_of
from app.oracle.queries import partitions as queries

MONTHS_AHEAD = 2


def ensure_partitions(session: Session, *, now: datetime, months: int = MONTHS_AHEAD) -> Sequence[str]:
    """Make this month's partition and the next `months`, where they are missing; returns the names of the new ones.

    Locks writers out only when there is something to make, which is once a month.
    """
    first = Month.of(now)
    wanted = [first.plus(ahead) for ahead in range(months + 1)]
    if not _missing(session, wanted):
        return []
    queries.lock_tables(session)
    missing = _missing(session, wanted)
    for month in missing:
        queries.make_partition(session, month)
    return [month.partition for month in missing]


def drop_partitions(session: Session, *, now: datetime, keep_months: int) -> Sequence[str]:
    """Drop the months that ended more than `keep_months` whole months ago; returns their names."""
    oldest = Month.of(now).plus(-keep_months)
    old = [month for month in map(month_of, queries.list_partitions(session)) if month is not None and month < oldest]
    if old:
        queries.lock_tables(session)
    for month in old:
        queries.drop_partition(session, month)
    return [month.partition for month in old]


def _missing(session: Session, wanted: Sequence[Month]) -> Sequence[Month]:
    there = set(queries.list_partitions(session))
    return [month for month in wanted if month.partition not in there]
