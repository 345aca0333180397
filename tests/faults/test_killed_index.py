"""The short form: a handful of deaths."""

from __future__ import annotations

import pytest

from tests.faults.ground import Ground
from tests.faults.killed_index import row

pytestmark = [pytest.mark.flow, pytest.mark.chain]


def test_an_indexer_that_is_killed_over_and_over_has_what_the_chain_has(ground: Ground) -> None:
    found = row(ground, seed=7, kills=5)
    assert found.complaints == ()
    assert found.intents > 20
