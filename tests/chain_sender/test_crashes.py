"""The sender dies at every boundary and is resumed from the rows: one transaction mined, no nonce lost, none forgotten.

One intent's way to `broadcast` has five commits: what the caller planned, the preparation, the reserved nonce, the
signed bytes, and what the node said. A crash before a commit loses that step; one after it, all that follow.
"""

from __future__ import annotations

import pytest

from app.chain.types.transactions import IntentStatus
from tests.chain_sender.audit import audit
from tests.chain_sender.desk import Crash, Desk, crash_at
from tests.chain_sender.victim import killed

COMMITS = range(1, 6)
PLANNED, RESERVED, SIGNED, BROADCAST = (
    IntentStatus.PLANNED,
    IntentStatus.RESERVED,
    IntentStatus.SIGNED,
    IntentStatus.BROADCAST,
)
# Where the rows are after a crash before and after each commit.
LEFT_BEHIND = {
    (1, True): PLANNED,
    (1, False): PLANNED,
    (2, True): PLANNED,
    (2, False): PLANNED,
    (3, True): PLANNED,
    (3, False): RESERVED,
    (4, True): RESERVED,
    (4, False): SIGNED,
    (5, True): SIGNED,
    (5, False): BROADCAST,
}


def _finish(desk: Desk) -> None:
    """Whoever comes next: ticks of the watcher, and blocks."""
    for _ in range(3):
        desk.watch(after_seconds=30)
        desk.mine(desk.policy.confirmations + 1)
    desk.watch()


@pytest.mark.parametrize(("number", "before"), LEFT_BEHIND)
def test_the_watcher_resumes_what_a_dead_sender_left(desk: Desk, number: int, before: bool) -> None:
    intent_id = desk.plan(1)
    with pytest.raises(Crash):
        desk.advance(intent_id, commit=crash_at(number, before=before))
    assert desk.status(intent_id) is LEFT_BEHIND[number, before]
    assert desk.count("pending") == (1 if number == 5 else 0), "nothing is sent before its bytes are committed"
    _finish(desk)
    assert desk.status(intent_id) is IntentStatus.FINAL
    assert desk.hits(1) == 1
    audit(desk)


@pytest.mark.parametrize(("number", "before"), LEFT_BEHIND)
def test_a_retried_job_resumes_it_too(desk: Desk, number: int, before: bool) -> None:
    intent_id = desk.plan(1)
    with pytest.raises(Crash):
        desk.advance(intent_id, commit=crash_at(number, before=before))
    desk.advance(intent_id)
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    assert (desk.intent(intent_id).nonce, desk.hits(1)) == (0, 1)
    audit(desk)


def test_a_crash_before_the_plan_commits_leaves_nothing(desk: Desk) -> None:
    with desk.session() as session:
        desk.plan_in(session, 1)
        session.rollback()
    desk.watch(after_seconds=100)
    assert desk.count("pending") == 0
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.settle()
    assert desk.hits(1) == 1
    audit(desk)


@pytest.mark.parametrize("number", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("before", [True, False])
def test_a_watcher_that_dies_at_any_commit_is_followed_by_the_next(desk: Desk, number: int, before: bool) -> None:
    """One tick that ends one intent, reopens another, replaces a third and resumes a fourth; it dies on its way."""
    ended, reorged = desk.plan(1), desk.plan(2)
    desk.advance(ended)
    desk.mine(desk.policy.confirmations)
    desk.watch()
    desk.advance(reorged)
    desk.mine()
    desk.watch()
    assert desk.status(reorged) is IntentStatus.MINED
    desk.reorg(1)
    stuck, unsigned = desk.plan(3), desk.plan(4)
    desk.advance(stuck)
    desk.base_fee(50)
    with pytest.raises(Crash):
        desk.watch(after_seconds=60, commit=crash_at(number, before=before))
    _finish(desk)
    assert [desk.status(one) for one in (ended, reorged, stuck, unsigned)] == [IntentStatus.FINAL] * 4
    assert [desk.hits(key) for key in (1, 2, 3, 4)] == [1, 1, 1, 1]
    audit(desk)


@pytest.mark.parametrize("number", [3, 4, 5])
def test_a_process_killed_in_the_middle(desk: Desk, number: int) -> None:
    """SIGKILL in a real process, with the row's lock held and the commit not yet made."""
    intent_id = desk.plan(1)
    killed(desk, intent_id, number)
    assert desk.status(intent_id) is LEFT_BEHIND[number, True]
    _finish(desk)
    assert desk.status(intent_id) is IntentStatus.FINAL
    assert desk.hits(1) == 1
    audit(desk)
