"""Back-off and cadences: tables, daylight saving, and properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.maths import aligned_anchor, backoff_seconds, cadence_fault, due_slots, next_slot, slots_to_run
from app.jobs.types import Cadence, CatchUp, DueSlots

HOURLY = Cadence(interval_seconds=3600)


def at(text: str) -> datetime:
    """A UTC time from its short form."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("attempt", "jitter", "expected"), [(1, 1.0, 2.0), (2, 1.0, 4.0), (3, 1.0, 8.0), (3, 0.0, 4.0), (50, 1.0, 300.0)]
)
def test_backoff_doubles_up_to_its_cap(attempt: int, jitter: float, expected: float) -> None:
    assert backoff_seconds(attempt, 2.0, 300.0, jitter) == expected


@pytest.mark.parametrize(
    ("cadence", "after", "expected"),
    [
        (HOURLY, "2026-01-01T10:00:00", "2026-01-01T11:00:00"),
        (HOURLY, "2026-01-01T10:59:59", "2026-01-01T11:00:00"),
        (Cadence(crontab="0 * * * *"), "2026-01-01T10:00:00", "2026-01-01T11:00:00"),
        (Cadence(crontab="30 2 * * 1"), "2026-01-01T00:00:00", "2026-01-05T02:30:00"),
        # Berlin's clock skips 02:00-03:00 on 29 March 2026: the fixed-time job runs right after the gap, at 01:00 UTC.
        (Cadence(crontab="30 2 * * *", time_zone="Europe/Berlin"), "2026-03-28T12:00:00", "2026-03-29T01:00:00"),
        # ... and repeats 02:00-03:00 on 25 October: the job runs once, the first time round, at 00:30 UTC.
        (Cadence(crontab="30 2 * * *", time_zone="Europe/Berlin"), "2026-10-24T12:00:00", "2026-10-25T00:30:00"),
        (Cadence(crontab="30 2 * * *", time_zone="Europe/Berlin"), "2026-10-25T00:30:00", "2026-10-26T01:30:00"),
    ],
)
def test_the_next_slot(cadence: Cadence, after: str, expected: str) -> None:
    assert next_slot(cadence, at("2026-01-01T00:00:00"), at(after)) == at(expected)


def test_hourly_wildcards_fire_once_an_hour_through_both_changes() -> None:
    berlin = Cadence(crontab="0 * * * *", time_zone="Europe/Berlin")
    for day in ("2026-03-29", "2026-10-25"):
        slots = due_slots(berlin, at("2026-01-01"), at(f"{day}T00:00:00") - timedelta(seconds=1), at(f"{day}T12:00:00"))
        assert slots.newest == [at(f"{day}T{hour:02}:00:00") for hour in range(13)]


@given(
    interval=st.integers(1, 100_000),
    mark=st.integers(0, 10**7),
    passed=st.integers(0, 10**7),
    anchor=st.integers(-(10**6), 10**6),
)
def test_interval_slots_are_all_there_and_none_twice(interval: int, mark: int, passed: int, anchor: int) -> None:
    start = at("2026-01-01")
    mark_at, now = start + timedelta(seconds=mark), start + timedelta(seconds=mark + passed)
    anchor_at = start + timedelta(seconds=anchor)
    due = due_slots(Cadence(interval_seconds=interval), anchor_at, mark_at, now)
    expected = (mark + passed - anchor) // interval - (mark - anchor) // interval
    assert due.count == expected
    assert due.newest == sorted(set(due.newest))
    assert len(due.newest) == min(expected, 10_000)
    if due.newest:
        assert mark_at < due.newest[0]
        assert due.newest[-1] <= now < due.newest[-1] + timedelta(seconds=interval)
        assert due.first == (due.newest[0] if expected <= 10_000 else due.first)
        assert (due.newest[-1] - anchor_at) % timedelta(seconds=interval) == timedelta(0)
        assert next_slot(Cadence(interval_seconds=interval), anchor_at, mark_at) == due.first


NOW = at("2026-01-02T00:00:10")
DAY = DueSlots(24, at("2026-01-01T01:00:00"), [at("2026-01-01") + timedelta(hours=hour) for hour in range(1, 25)])


@pytest.mark.parametrize(
    ("catch_up", "limit", "window_hours", "hours"),
    [
        (CatchUp.NONE, 1000, 999, [24]),
        (CatchUp.LATEST, 1000, 999, [24]),
        (CatchUp.ALL, 1000, 999, list(range(1, 25))),
        (CatchUp.ALL, 3, 999, [22, 23, 24]),
        (CatchUp.ALL, 1000, 2, [23, 24]),
    ],
)
def test_what_an_outage_leaves_to_run(catch_up: CatchUp, limit: int, window_hours: int, hours: list[int]) -> None:
    run = slots_to_run(DAY, catch_up, limit, timedelta(hours=window_hours), NOW)
    assert run == [at("2026-01-01") + timedelta(hours=hour) for hour in hours]


def test_none_drops_a_slot_that_is_late() -> None:
    assert slots_to_run(DAY, CatchUp.NONE, 1, timedelta(days=9), NOW + timedelta(minutes=5)) == []


def test_an_hourly_anchor_is_on_the_hour() -> None:
    assert aligned_anchor(at("2026-01-01T10:17:05"), 3600) == at("2026-01-01T10:00:00")


@pytest.mark.parametrize(
    ("cadence", "words"),
    [
        (Cadence(), "Give an interval or a crontab"),
        (Cadence(interval_seconds=5, crontab="* * * * *"), "not both"),
        (Cadence(interval_seconds=0), "below one second"),
        (Cadence(crontab="61 * * * *"), "cannot be followed"),
        (Cadence(crontab="0 0 31 2 *"), "cannot be followed"),
        (Cadence(crontab="nonsense"), "cannot be followed"),
        (Cadence(crontab="* * * * *", time_zone="Mars/Olympus"), "no time zone"),
        (Cadence(crontab="* * * * *", time_zone="../etc/passwd"), "no time zone"),
    ],
)
def test_a_cadence_that_cannot_be_followed_says_why(cadence: Cadence, words: str) -> None:
    assert words in (cadence_fault(cadence) or "")
