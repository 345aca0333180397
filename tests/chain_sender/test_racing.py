"""Several at once: planners of one subject, senders on one signer, two watchers, a canceller against a sender."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from sqlalchemy.orm import Session

from app.chain.types.transactions import IntentStatus
from tests.chain_sender.audit import audit
from tests.chain_sender.desk import Desk


def _together(*acts: Callable[[], object]) -> list[object]:
    """Run all at once, from one starting line; raises what any of them raises."""
    line = Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        line.wait(10)
        return act()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result(30) for future in [pool.submit(run, act) for act in acts]]


def test_planners_of_one_subject_get_one_intent(desk: Desk) -> None:
    for key in range(5):
        found = _together(*[lambda key=key: desk.plan(key)] * 4)
        assert len(set(found)) == 1


def test_a_planner_waits_for_one_that_rolls_back(desk: Desk) -> None:
    with desk.session() as session:
        gone = desk.plan_in(session, 1)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(desk.plan, 1)
            assert not other.done()
            session.rollback()
            assert other.result(10) != gone


def test_senders_on_one_signer_share_no_nonce_and_leave_no_gap(desk: Desk) -> None:
    shares = [[desk.plan(10 * share + key) for key in range(8)] for share in range(4)]
    _together(*[lambda share=share: [desk.advance(one) for one in share] for share in shares])
    ids = [one for share in shares for one in share]
    assert sorted(desk.intent(one).nonce or 0 for one in ids) == list(range(32))
    desk.settle()
    assert {desk.status(one) for one in ids} == {IntentStatus.FINAL}
    assert desk.count() == 32
    audit(desk)


def test_two_senders_of_the_same_intents_sign_each_once(desk: Desk) -> None:
    ids = [desk.plan(key) for key in range(10)]
    _together(lambda: desk.advance(*ids), lambda: desk.advance(*reversed(ids)), lambda: desk.watch(after_seconds=30))
    desk.watch(after_seconds=30)
    desk.settle()
    assert {desk.status(one) for one in ids} == {IntentStatus.FINAL}
    assert (desk.count(), [len(desk.attempts(one)) for one in ids]) == (10, [1] * 10)
    audit(desk)


def test_two_watchers_replace_once_and_end_once(desk: Desk) -> None:
    ids = [desk.plan(key) for key in range(5)]
    desk.advance(*ids)
    desk.base_fee(50)
    desk.watch(after_seconds=30)
    _together(*[lambda: desk.watch(after_seconds=20)] * 3)
    numbers = [[attempt.number for attempt in desk.attempts(one)] for one in ids]
    assert all(found == list(range(1, len(found) + 1)) for found in numbers)
    desk.mine(desk.policy.confirmations + 1)
    _together(*[desk.watch] * 3)
    assert {desk.status(one) for one in ids} == {IntentStatus.FINAL}
    audit(desk)


def test_cancelling_while_it_is_sent_ends_one_way_or_the_other(desk: Desk) -> None:
    ids = [desk.plan(key) for key in range(6)]
    _together(lambda: desk.advance(*ids), lambda: [desk.cancel(one) for one in ids])
    desk.watch(after_seconds=30)
    desk.settle()
    ends = [desk.status(one) for one in ids]
    assert set(ends) == {IntentStatus.CANCELLED}
    assert [desk.hits(key) for key in range(6)] == [0] * 6
    audit(desk)


def test_the_lock_is_not_held_while_the_node_is_waited_on(desk: Desk) -> None:
    """A sender that stops dead in the node's hands holds nobody else up."""
    first, second = desk.plan(1), desk.plan(2)

    def meanwhile(session: Session) -> None:
        session.commit()
        desk.advance(second)

    desk.advance(first, commit=meanwhile)
    assert desk.status(second) is IntentStatus.BROADCAST
    desk.settle()
    audit(desk)
