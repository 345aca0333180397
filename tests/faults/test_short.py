"""The short form of `make faults`: the most telling rows of the matrix, and a judge that can be trusted."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.faults.ground import ROOT
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
LIGHT = {"singles": 12, "steps": 2, "notify": 2, "seconds": 1.0}


@pytest.mark.parametrize("name", SHORT)
def test_nothing_is_lost_and_nothing_is_done_twice(name: str, play_row: Callable[[Fault], Row]) -> None:
    fault = ROWS[name]
    row = play_row(replace(fault, load=replace(fault.load, **LIGHT)))
    assert row.complaints == []
    assert row.verdict.accepted > 0


def test_the_page_tells_of_every_row() -> None:
    told = set(re.findall(r"`([a-z]+(?:-[a-z]+)+|poison|everything)`", (ROOT / "docs" / "faults.md").read_text()))
    assert {fault.name for fault in MATRIX} - told == set()
