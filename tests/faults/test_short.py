"""The short form of `make faults`: the most telling rows of the matrix, and a judge that can be trusted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.faults.matrix import MATRIX
from tests.faults.scene import Fault, Row

pytestmark = pytest.mark.flow
SHORT = (
    "api-commit-after",
    "dispatch-publish-before",
    "child-worker-finish-written",
    "worker-killed",
    "worker-frozen",
    "redis-flushed",
    "postgres-crashed",
    "beats-two",
)
ROWS = {fault.name: fault for fault in MATRIX}


@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_and_nothing_is_done_twice(name: str, play_row: Callable[[Fault], Row]) -> None:
    row = play_row(ROWS[name])
    assert row.complaints == []
    assert row.verdict.accepted > 0
