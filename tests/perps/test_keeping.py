"""The keeper's decisions, case by case."""

from __future__ import annotations

import pytest

from app.chain.errors import ExecutionReverted, NodeUnreachable, TransactionRefused
from app.chain.types.calls import Rehearsal
from app.perps.maths.keeping import backoff_seconds, bonus_units, cost_wad, fate_of
from app.perps.types.keeper import Fate
from contracts.markets import WAD
from tests.perps.history import our_protocol

WORD = 32


@pytest.mark.parametrize(
    ("rehearsal", "fate"),
    [
        (Rehearsal(returned=bytes(WORD), max_cost_wei=1), Fate.PLANNED),
        (Rehearsal(failure=ExecutionReverted(), reason="healthy"), Fate.HEALTHY),
        (Rehearsal(failure=ExecutionReverted(), reason="no position"), Fate.GONE),
        (Rehearsal(failure=ExecutionReverted(), reason="pool too small"), Fate.REFUSED),
        (Rehearsal(failure=NodeUnreachable()), Fate.UNREACHED),
        (Rehearsal(failure=TransactionRefused()), Fate.REFUSED),
    ],
)
def test_what_an_answer_means(rehearsal: Rehearsal, fate: Fate) -> None:
    keeper = our_protocol().section.keeper
    assert keeper is not None
    assert fate_of(rehearsal, keeper) is fate


@pytest.mark.parametrize(
    ("fate", "waits"),
    [
        (Fate.HEALTHY, [10, 20, 40, 60, 60]),
        (Fate.UNPROFITABLE, [30, 60, 120, 240, 480, 600, 600]),
        (Fate.REFUSED, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]),
        *((fate, [0, 0]) for fate in (Fate.SEEN, Fate.PLANNED, Fate.SAFE, Fate.GONE, Fate.UNREACHED)),
    ],
)
def test_waits_double_up_to_a_bound(fate: Fate, waits: list[int]) -> None:
    assert [backoff_seconds(fate, failures) for failures in range(1, len(waits) + 1)] == waits
    assert backoff_seconds(fate, 10**6) == waits[-1]


def test_money() -> None:
    # 300,000 gas at 2 gwei is 0.0006 ether: 1.8 at 3,000 each, and a fraction of a unit is a unit.
    assert cost_wad(300_000 * 2 * 10**9, 3000 * WAD) == 18 * WAD // 10
    assert cost_wad(1, 1) == 1
    assert bonus_units((7).to_bytes(WORD, "big") + bytes(WORD)) == 7
    assert [bonus_units(None), bonus_units(b""), bonus_units(b"\x01" * 31)] == [0, 0, 0]
