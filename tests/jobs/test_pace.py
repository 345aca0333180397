"""When a job will be done, told from its recent pace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.maths import LONGEST_ETA_SECONDS, PACE_SECONDS, Sample, eta_seconds, recent_samples


@pytest.mark.parametrize(
    ("samples", "expected"),
    [
        ([], None),
        ([(10.0, 0.5)], None),
        ([(10.0, 0.5), (20.0, 0.5)], None),  # no progress
        ([(10.0, 0.5), (20.0, 0.4)], None),  # a rewind
        ([(10.0, 0.5), (10.0, 0.6)], None),  # no time
        ([(0.0, 0.0), (10.0, 0.5)], 10.0),
        ([(0.0, 0.25), (5.0, 0.3), (10.0, 0.5)], 20.0),
        ([(0.0, 0.5), (10.0, 1.0)], 0.0),
        ([(0.0, 0.0), (LONGEST_ETA_SECONDS, 0.1)], None),
    ],
)
def test_the_eta_is_what_is_left_at_the_pace_of_the_samples(samples: list[Sample], expected: float | None) -> None:
    found = eta_seconds(samples)
    assert found == (None if expected is None else pytest.approx(expected))


@given(st.lists(st.tuples(st.floats(0, 10_000), st.floats(0, 1)), max_size=50))
def test_only_recent_samples_count_and_never_fewer_than_two(samples: list[Sample]) -> None:
    samples = sorted(samples)
    kept = recent_samples(samples)
    assert kept == samples[len(samples) - len(kept) :]
    assert len(kept) >= min(2, len(samples))
    assert len(kept) <= 2 or kept[-1][0] - kept[0][0] <= PACE_SECONDS


@given(st.floats(1, 1000), st.floats(0.001, 0.5))
def test_a_steady_pace_ends_when_it_says(seconds: float, share: float) -> None:
    found = eta_seconds([(0.0, 0.0), (seconds, share)])
    assert found == pytest.approx(seconds / share - seconds)
