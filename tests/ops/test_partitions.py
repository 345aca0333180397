"""Partitions on real Postgres: made ahead, rows moved over when late, dropped when old."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.ops.maths.periods import Period, period_of
from app.ops.queries import list_partitions
from app.ops.services.partitions import drop_old, make_ahead
from app.ops.types import PartitionedTable, PeriodLength

NOW = datetime(2026, 12, 30, 15, 30, tzinfo=UTC)
ARCHIVE = PartitionedTable("jobs_archive", "finished_at", PeriodLength.DAY, ahead=3, keep=2)
ROW = text(
    "INSERT INTO jobs_archive (id, finished_at, kind, principal, queue, priority, status, params, max_attempts)"
    " VALUES (gen_random_uuid(), :at, 'k', 'p', 'default', 5, 'succeeded', '{}', 1)"
)


@pytest.mark.parametrize(
    ("length", "names"),
    [
        (PeriodLength.DAY, ["t_p20261230", "t_p20261231", "t_p20270101"]),
        (PeriodLength.MONTH, ["t_p202612", "t_p202701", "t_p202702"]),
    ],
)
def test_names_and_bounds(length: PeriodLength, names: list[str]) -> None:
    first = Period.of(NOW, length)
    periods = [first.plus(n) for n in range(3)]
    assert [period.partition("t") for period in periods] == names
    assert [period_of(name) for name in names] == periods
    assert periods[0].end == periods[1].start
    assert periods[1].plus(-1) == first
    assert period_of("t_default") is None


def test_made_ahead_once_and_dropped_when_old(session: Session) -> None:
    assert make_ahead(session, ARCHIVE, now=NOW) == [
        f"jobs_archive_p{day}" for day in ("20261230", "20261231", "20270101", "20270102")
    ]
    assert make_ahead(session, ARCHIVE, now=NOW) == []
    later = NOW + timedelta(days=4)
    make_ahead(session, ARCHIVE, now=later)
    assert drop_old(session, ARCHIVE, now=later) == ["jobs_archive_p20261230", "jobs_archive_p20261231"]
    assert "jobs_archive_default" in list_partitions(session, "jobs_archive")


def test_a_period_made_late_takes_its_rows_from_the_default(session: Session) -> None:
    for hours in (0, 1, 48):
        session.execute(ROW, {"at": NOW + timedelta(hours=hours)})
    make_ahead(session, ARCHIVE, now=NOW)
    count = "SELECT count(*) FROM "
    assert session.scalar(text(f"{count} jobs_archive_p20261230")) == 2
    assert session.scalar(text(f"{count} jobs_archive_p20270101")) == 1
    assert session.scalar(text(f"{count} jobs_archive_default")) == 0
    assert session.scalar(text(f"{count} jobs_archive")) == 3
