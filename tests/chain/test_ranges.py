"""Range sizes: properties that hold against any node, and the peers' stuck cases."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chain.maths.ranges import PATIENCE, after_answer, after_refusal, first_size
from app.chain.types.indexing import RangeLimits, RangeSize

LIMITS = RangeLimits(max_blocks=1000)
sizes = st.builds(RangeSize, st.integers(1, 1000), st.none() | st.integers(1, 999), st.integers(0, PATIENCE - 1))
hints = st.none() | st.integers(-5, 100_000)


@given(sizes, st.integers(1, 1000), hints, hints)
def test_a_refusal_always_asks_for_less(size: RangeSize, asked: int, suggested: int | None, cap: int | None) -> None:
    after = after_refusal(size, LIMITS, asked_blocks=asked, suggested_blocks=suggested, cap_blocks=cap)
    assert 1 <= after.blocks <= max(1, asked - 1)
    assert after.ceiling is None or after.ceiling >= 1


@given(sizes, st.integers(1, 1000), st.integers(0, 10**9), st.integers(0, 10**7))
def test_an_answer_keeps_within_bounds(size: RangeSize, asked: int, answer_bytes: int, events: int) -> None:
    after = after_answer(size, LIMITS, asked_blocks=asked, answer_bytes=answer_bytes, events=events)
    assert 1 <= after.blocks <= min(LIMITS.max_blocks, max(size.blocks, 2 * asked))
    assert after.ceiling is None or after.blocks <= after.ceiling <= LIMITS.max_blocks


@given(st.integers(1, 1200), st.booleans(), st.integers(0, 3000))
def test_any_hidden_limit_is_found_and_costs_few_refusals(limit: int, says_so: bool, per_block: int) -> None:
    size, read, refusals, answers = first_size(LIMITS), 0, 0, 0
    while read < 60_000 and answers < 400:
        asked = size.blocks
        if asked > limit:
            refusals += 1
            size = after_refusal(size, LIMITS, asked_blocks=asked, cap_blocks=limit if says_so else None)
        else:
            read, answers = read + asked, answers + 1
            size = after_answer(size, LIMITS, asked_blocks=asked, answer_bytes=asked * per_block, events=0)
    # Ten halvings find any limit from a thousand; then one probe that fails, at most, for each time of patience.
    assert refusals <= 10 + answers // PATIENCE
    if limit >= LIMITS.max_blocks and per_block == 0:
        assert size.blocks == LIMITS.max_blocks


@given(st.integers(1, 200))
def test_a_limit_that_was_lifted_is_outgrown(learned: int) -> None:
    size = RangeSize(learned, ceiling=learned)
    for _ in range(20 * PATIENCE):
        size = after_answer(size, LIMITS, asked_blocks=size.blocks, answer_bytes=100, events=0)
    assert size == RangeSize(LIMITS.max_blocks)


def test_never_stuck_at_one_block() -> None:
    size = after_refusal(RangeSize(1), LIMITS, asked_blocks=1)
    assert size.blocks == 1
    for _ in range(3 * PATIENCE):
        size = after_answer(size, LIMITS, asked_blocks=size.blocks, answer_bytes=100, events=0)
    assert size.blocks > 1


@pytest.mark.parametrize(
    ("size", "asked", "hint", "after"),
    [
        (RangeSize(1000), 1000, {}, RangeSize(500, 500)),
        (RangeSize(1000), 1000, {"cap_blocks": 10}, RangeSize(10, 10)),
        (RangeSize(1000), 1000, {"suggested_blocks": 300}, RangeSize(300)),
        (RangeSize(1000), 1000, {"cap_blocks": 10, "suggested_blocks": 8}, RangeSize(8, 10)),
        (RangeSize(400, 500), 400, {"suggested_blocks": 300}, RangeSize(300, 500)),
        (RangeSize(400), 400, {"cap_blocks": 10_000}, RangeSize(200, 200)),
        (RangeSize(400), 400, {"suggested_blocks": 400}, RangeSize(200, 200)),
    ],
)
def test_hints(size: RangeSize, asked: int, hint: dict[str, int], after: RangeSize) -> None:
    assert after_refusal(size, LIMITS, asked_blocks=asked, **hint) == after


def test_density_steers_to_the_target() -> None:
    limits = RangeLimits(max_blocks=1000, target_bytes=1_000_000, target_events=1_000)
    answer = {"asked_blocks": 100, "answer_bytes": 50_000}
    assert after_answer(RangeSize(100), limits, **answer, events=10).blocks == 200  # twice at most
    assert after_answer(RangeSize(100), limits, **answer, events=2_000).blocks == 50
    assert after_answer(RangeSize(100), limits, asked_blocks=100, answer_bytes=4_000_000, events=10).blocks == 25


def test_a_short_range_at_the_head_does_not_make_the_next_one_short() -> None:
    after = after_answer(RangeSize(800), LIMITS, asked_blocks=1, answer_bytes=900, events=1)
    assert after.blocks == 800
