"""The watcher on a real node: what is stuck, dropped, reorged out, cancelled or no longer wanted."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.chain.errors import TransactionEnded, TransactionMined, TransactionNotFound
from app.chain.queries import transitions
from app.chain.types.sending import Receipt
from app.chain.types.transactions import AttemptOutcome, Effect, IntentStatus
from app.core.db import new_id
from tests.chain_sender.audit import audit
from tests.chain_sender.desk import Crash, Desk, crash_at

REPLACE = 60
RESEND = 20


def test_a_stuck_transaction_is_replaced_at_a_higher_price_with_its_own_nonce(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.base_fee(50)
    assert desk.count() == 0, "the base fee has overtaken it"
    assert desk.watch(after_seconds=REPLACE).signed == 1
    first, second = desk.attempts(intent_id)
    assert first.nonce == second.nonce == 0
    assert second.fees.max_fee_wei * 8 >= first.fees.max_fee_wei * 9
    assert (second.fees.tip_wei or 0) * 8 >= (first.fees.tip_wei or 0) * 9
    assert desk.intent(intent_id).max_cost_wei == second.gas_limit * second.fees.max_fee_wei
    desk.settle()
    assert desk.intent(intent_id).transaction_hash == second.hash
    assert [a.outcome for a in desk.attempts(intent_id)] == [AttemptOutcome.BEATEN, AttemptOutcome.MINED]
    assert desk.hits(1) == 1
    audit(desk)


def test_what_a_node_finds_too_cheap_is_replaced_without_waiting(desk: Desk) -> None:
    intent_id = desk.plan(1)
    with pytest.raises(Crash):
        desk.advance(intent_id, commit=crash_at(4, before=False))
    desk.base_fee(50)
    desk.watch()
    assert desk.attempts(intent_id)[0].refusal == "chain.underpriced"
    assert desk.watch().signed == 1
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    audit(desk)


def test_the_old_one_may_still_win(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.base_fee(50)
    desk.watch(after_seconds=REPLACE)
    first, _second = desk.attempts(intent_id)
    desk.forget()
    desk.base_fee(1)
    desk.node("eth_sendRawTransaction", "0x" + first.raw.hex())
    desk.settle()
    assert desk.intent(intent_id).transaction_hash == first.hash
    audit(desk)


def test_a_chain_that_stands_still_does_not_drive_the_price_up_for_ever(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    for _ in range(40):
        desk.watch(after_seconds=REPLACE)
    first, *_, last = desk.attempts(intent_id)
    assert 4 * first.fees.max_fee_wei < last.fees.max_fee_wei < 7 * first.fees.max_fee_wei
    assert (last.fees.tip_wei or 0) < 7 * (first.fees.tip_wei or 0)
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    audit(desk)


def test_only_the_one_whose_turn_it_is_is_replaced(desk: Desk) -> None:
    ids = [desk.plan(key) for key in range(4)]
    desk.advance(*ids)
    assert desk.watch(after_seconds=REPLACE).signed == 1
    assert [len(desk.attempts(one)) for one in ids] == [2, 1, 1, 1]


def test_all_that_the_base_fee_has_overtaken_are_replaced_at_once(desk: Desk) -> None:
    ids = [desk.plan(key) for key in range(4)]
    desk.advance(*ids)
    desk.base_fee(50)
    assert desk.watch(after_seconds=REPLACE).signed == 4
    desk.settle()
    assert desk.count() == 4
    audit(desk)


def test_replacement_stops_at_the_cap_and_the_old_one_stays(desk: Desk) -> None:
    intent_id = desk.plan(1, fee_cap_wei=8 * 10**9)
    desk.advance(intent_id)
    desk.base_fee(50)
    for _ in range(3):
        desk.watch(after_seconds=REPLACE)
    assert desk.error(intent_id) == "chain.fee_cap_reached"
    assert all(a.fees.max_fee_wei <= 8 * 10**9 for a in desk.attempts(intent_id))
    desk.forget()
    desk.base_fee(1)
    desk.watch(after_seconds=RESEND)
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    audit(desk)


def test_a_node_that_forgot_its_pool_gets_the_same_bytes_again(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.forget()
    desk.mine()
    assert desk.watch(after_seconds=RESEND).resent == 1
    desk.settle()
    [attempt] = desk.attempts(intent_id)
    assert desk.intent(intent_id).transaction_hash == attempt.hash
    audit(desk)


@pytest.mark.parametrize("depth", [1, 2])
def test_a_reorg_reopens_what_was_mined(desk: Desk, depth: int) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.mine(depth)
    desk.watch()
    assert desk.status(intent_id) is IntentStatus.MINED
    desk.reorg(depth)
    assert desk.watch().reopened == 1
    assert desk.status(intent_id) is IntentStatus.BROADCAST
    desk.watch(after_seconds=RESEND)
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    assert len(desk.attempts(intent_id)) == 1
    audit(desk)


def test_a_reorg_may_let_another_attempt_win(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.watch(after_seconds=REPLACE)
    first, second = desk.attempts(intent_id)
    desk.mine()
    desk.watch()
    assert desk.intent(intent_id).transaction_hash == second.hash
    desk.reorg(1, first.raw)
    assert desk.watch().mined == 1
    assert desk.intent(intent_id).transaction_hash == first.hash
    desk.settle()
    assert [a.outcome for a in desk.attempts(intent_id)] == [AttemptOutcome.MINED, AttemptOutcome.BEATEN]
    audit(desk)


def test_a_block_that_moved_is_seen_at_its_new_place(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.mine(2)
    desk.watch()
    before = desk.intent(intent_id)
    [attempt] = desk.attempts(intent_id)
    desk.reorg(1)
    desk.reorg(2, attempt.raw)
    desk.watch()
    after = desk.intent(intent_id)
    assert after.status is IntentStatus.MINED
    assert (after.block_number, before.block_number == after.block_number) == (before.block_number, True)
    assert after.block_hash != before.block_hash
    desk.settle()
    audit(desk)


def test_a_node_that_fell_behind_reopens_nothing(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.mine()
    desk.watch()
    desk.node("anvil_rollback", 1)
    assert desk.watch().reopened == 0
    assert desk.status(intent_id) is IntentStatus.MINED
    desk.mine()
    assert desk.watch().reopened == 1, "now the node is as far, and does not know it"
    desk.watch(after_seconds=RESEND)
    desk.settle()
    audit(desk)


def test_cancelling_before_a_nonce_ends_it_at_once(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.cancel(intent_id)
    assert (desk.status(intent_id), desk.intent(intent_id).nonce) == (IntentStatus.CANCELLED, None)
    with pytest.raises(TransactionEnded):
        desk.cancel(intent_id)
    with pytest.raises(TransactionNotFound):
        desk.cancel(new_id())
    audit(desk)


def test_cancelling_in_the_pool_uses_the_nonce_for_nothing(desk: Desk) -> None:
    cancelled, following = desk.plan(1), desk.plan(2)
    desk.advance(cancelled, following)
    desk.cancel(cancelled)
    desk.watch()
    assert [a.effect for a in desk.attempts(cancelled)] == [Effect.CALL, Effect.CANCEL]
    desk.settle()
    assert desk.status(cancelled) is IntentStatus.CANCELLED
    assert desk.status(following) is IntentStatus.FINAL
    assert (desk.hits(1), desk.hits(2)) == (0, 1)
    audit(desk)


def test_a_cancellation_that_comes_too_late_changes_nothing(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.mine()
    desk.cancel(intent_id)
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    assert desk.hits(1) == 1
    audit(desk)


def test_what_is_seen_in_a_block_is_not_cancelled_any_more(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.mine()
    desk.watch()
    with pytest.raises(TransactionMined):
        desk.cancel(intent_id)
    desk.settle()
    with pytest.raises(TransactionEnded):
        desk.cancel(intent_id)
    assert desk.intent(intent_id).cancel_reason is None


def test_what_expires_in_the_pool_is_cancelled(desk: Desk) -> None:
    intent_id = desk.plan(1, expires_at=desk.now + timedelta(seconds=30))
    desk.advance(intent_id)
    desk.watch(after_seconds=29)
    assert [a.effect for a in desk.attempts(intent_id)] == [Effect.CALL]
    desk.watch(after_seconds=1)
    desk.settle()
    assert (desk.status(intent_id), desk.hits(1)) == (IntentStatus.CANCELLED, 0)
    assert desk.intent(intent_id).cancel_reason == "expired"
    audit(desk)


def test_what_expires_with_a_nonce_but_unsigned_uses_it_for_nothing(desk: Desk) -> None:
    intent_id = desk.plan(1, expires_at=desk.now + timedelta(seconds=30))
    with pytest.raises(Crash):
        desk.advance(intent_id, commit=crash_at(3, before=False))
    desk.now += timedelta(seconds=30)
    desk.advance(intent_id)
    desk.advance(intent_id)
    assert [a.effect for a in desk.attempts(intent_id)] == [Effect.CANCEL]
    desk.settle()
    assert (desk.status(intent_id), desk.hits(1)) == (IntentStatus.CANCELLED, 0)
    audit(desk)


def test_a_watcher_with_an_old_view_does_not_end_what_another_has_seen_elsewhere(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.mine()
    desk.watch()
    [attempt] = desk.attempts(intent_id)
    stale = Receipt(b"\x07" * 32, 1, b"\x08" * 32, 1, 1, 1)
    with desk.session() as session:
        assert not transitions.end_mined(session, intent_id, stale, IntentStatus.FINAL, 1, desk.now)
        seen = replace(stale, transaction_hash=attempt.hash)
        assert transitions.end_mined(session, intent_id, seen, IntentStatus.FINAL, 1, desk.now)


def test_a_stuck_call_that_would_revert_by_now_is_cancelled(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.forget()
    desk.close_target()
    desk.mine()
    desk.watch(after_seconds=REPLACE)
    desk.watch()
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.CANCELLED
    assert desk.intent(intent_id).cancel_reason == "the target is closed"
    audit(desk)
