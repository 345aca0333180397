"""Nonces that are not ours any more: another owner of the key, gaps, and a chain that is not the one we knew."""

from __future__ import annotations

import pytest

from app.chain.errors import SignerNotFound
from app.chain.types.transactions import AttemptOutcome, IntentStatus
from tests.chain_sender.audit import audit
from tests.chain_sender.desk import OTHER, Desk

RESEND = 20


def test_a_key_that_was_used_elsewhere_is_halted_until_an_operator_resumes_it(desk: Desk) -> None:
    first = desk.plan(1)
    desk.advance(first)
    desk.settle()
    desk.send_from(desk.owner, to=OTHER, value="0x1")
    desk.mine()
    second = desk.plan(2)
    desk.advance(second)
    assert (desk.status(second), desk.error(second)) == (IntentStatus.PLANNED, "chain.signer_halted")
    assert desk.open_alarms() == ["signer_halted"]
    desk.watch(after_seconds=100)
    assert desk.count("pending") == 2, "nothing of ours was sent"
    desk.resume()
    assert desk.open_alarms() == []
    desk.watch(after_seconds=100)
    desk.settle()
    assert (desk.status(second), desk.intent(second).nonce) == (IntentStatus.FINAL, 2)
    audit(desk)


def test_a_strangers_pending_transaction_halts_too(desk: Desk) -> None:
    first = desk.plan(1)
    desk.advance(first)
    desk.send_from(desk.owner, to=OTHER, value="0x1")
    second = desk.plan(2)
    desk.advance(second)
    assert desk.error(second) == "chain.signer_halted"
    desk.resume()
    desk.watch(after_seconds=RESEND)
    desk.settle()
    assert desk.intent(second).nonce == 2
    audit(desk)


def test_a_stranger_on_our_nonce_costs_the_intent_its_nonce_and_only_when_final(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.forget()
    stranger = desk.send_from(desk.owner, to=OTHER, value="0x1", nonce="0x0")
    desk.mine(desk.policy.confirmations)
    desk.watch(after_seconds=RESEND)
    assert desk.intent(intent_id).nonce == 0, "not final yet: the nonce stays"
    desk.mine()
    assert desk.watch().displaced == 1
    intent = desk.intent(intent_id)
    assert (intent.status, intent.nonce) == (IntentStatus.PLANNED, None)
    assert intent.error is not None
    assert (intent.error["code"], intent.error["transaction_hash"]) == ("chain.nonce_taken", stranger)
    assert desk.open_alarms() == ["signer_halted"]
    assert [a.outcome for a in desk.attempts(intent_id)] == [AttemptOutcome.BEATEN]
    desk.watch(after_seconds=100)
    assert desk.count("pending") == 1
    desk.resume()
    desk.watch(after_seconds=100)
    desk.settle()
    assert (desk.status(intent_id), desk.intent(intent_id).nonce) == (IntentStatus.FINAL, 1)
    assert desk.hits(1) == 1
    audit(desk)


def test_a_halted_signer_still_watches_what_it_has_sent(desk: Desk) -> None:
    sent = desk.plan(1)
    desk.advance(sent)
    desk.send_from(desk.owner, to=OTHER, value="0x1")
    desk.advance(desk.plan(2))
    assert desk.signer_state().halt_reason is not None
    desk.settle()
    assert desk.status(sent) is IntentStatus.FINAL


def test_a_halted_signer_sends_nothing_not_even_again(desk: Desk) -> None:
    sent = desk.plan(1)
    desk.advance(sent)
    desk.send_from(desk.owner, to=OTHER, value="0x1")
    desk.advance(desk.plan(2))
    assert desk.signer_state().halt_reason is not None
    desk.forget()
    desk.watch(after_seconds=100)
    assert (desk.count("pending"), len(desk.attempts(sent))) == (0, 1)
    desk.resume()
    desk.watch(after_seconds=100)
    desk.watch(after_seconds=100)
    desk.settle()
    assert (desk.hits(1), desk.hits(2)) == (1, 1)
    audit(desk)


def test_a_stranger_on_the_nonce_of_a_cancellation_ends_it(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.cancel(intent_id)
    desk.forget()
    desk.send_from(desk.owner, to=OTHER, value="0x1", nonce="0x0")
    desk.mine(desk.policy.confirmations + 1)
    assert desk.watch().displaced == 1
    assert (desk.status(intent_id), desk.intent(intent_id).nonce) == (IntentStatus.CANCELLED, None)
    audit(desk)


def test_a_final_transaction_that_a_deep_reorg_took_leaves_a_gap_which_is_filled(desk: Desk) -> None:
    lost = desk.plan(1)
    desk.advance(lost)
    desk.settle()
    assert desk.status(lost) is IntentStatus.FINAL
    desk.reorg(desk.policy.confirmations + 1)
    following = desk.plan(2)
    desk.advance(following)
    desk.mine()
    assert desk.count() == 0, "nonce 1 waits for nonce 0"
    assert desk.watch().filled == 1
    assert desk.open_alarms() == ["transaction_lost"]
    desk.settle()
    assert desk.status(following) is IntentStatus.FINAL
    assert desk.count() == 2
    assert desk.hits(1) == 0, "the lost call is not made again: whoever wanted it plans anew"
    audit(desk)


def test_no_cap_stands_in_the_way_of_a_filler_or_a_cancellation(desk: Desk) -> None:
    lost = desk.plan(1)
    desk.advance(lost)
    desk.settle()
    desk.reorg(desk.policy.confirmations + 1)
    following, cancelled = desk.plan(2), desk.plan(3)
    desk.advance(following, cancelled)
    desk.cancel(cancelled)
    poor = desk.with_policy(max_spend_per_hour_wei=1)
    poor.watch()
    poor.settle()
    assert [poor.status(one) for one in (following, cancelled)] == [IntentStatus.FINAL, IntentStatus.CANCELLED]
    audit(poor)


def test_a_lost_transaction_that_comes_back_beats_its_filler(desk: Desk) -> None:
    lost = desk.plan(1)
    desk.advance(lost)
    desk.settle()
    [old] = desk.attempts(lost)
    desk.reorg(desk.policy.confirmations + 1)
    following = desk.plan(2)
    desk.advance(following)
    assert desk.watch().filled == 1
    desk.forget()
    desk.node("eth_sendRawTransaction", "0x" + old.raw.hex())
    desk.settle()
    assert desk.signer_state().halt_reason is None
    desk.watch(after_seconds=RESEND)
    desk.settle()
    assert desk.status(following) is IntentStatus.FINAL
    assert [a.outcome for a in desk.attempts(lost)] == [AttemptOutcome.MINED]
    assert (desk.hits(1), desk.hits(2)) == (1, 1)
    assert desk.count() == 2, "the filler is not sent anew: its gap is filled"
    assert desk.watch().live == 0


def test_a_pending_transaction_from_before_us_that_is_dropped_leaves_a_gap_too(desk: Desk) -> None:
    desk.send_from(desk.owner, to=OTHER, value="0x1")
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    assert desk.intent(intent_id).nonce == 1
    desk.watch()
    assert desk.count("pending") == 2, "the pool holds nonce 0: that is no gap"
    desk.forget()
    assert desk.watch(after_seconds=RESEND).filled == 1
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    audit(desk)


def test_a_chain_that_lost_many_of_our_nonces_is_not_mended_but_reported(desk: Desk) -> None:
    ids = [desk.plan(key) for key in range(5)]
    desk.advance(*ids)
    desk.settle()
    desk.reorg(desk.policy.confirmations + 1)
    later = desk.plan(9)
    strict = desk.with_policy(max_nonce_gap=4)
    strict.advance(later)
    assert strict.watch().filled == 0
    assert strict.open_alarms() == ["signer_halted"]


def test_a_node_behind_what_was_seen_fills_nothing(desk: Desk) -> None:
    first = desk.plan(1)
    desk.advance(first)
    desk.settle()
    following = desk.plan(2)
    desk.advance(following)
    desk.watch()
    desk.node("anvil_rollback", desk.policy.confirmations + 1)
    desk.forget()
    assert desk.count("pending") == 0
    assert desk.watch(after_seconds=RESEND).filled == 0
    desk.mine(desk.policy.confirmations + 1)
    assert desk.watch().filled == 1, "the same node, as far as before: now the nonce is missing indeed"


def test_an_unknown_signer_cannot_be_resumed(desk: Desk) -> None:
    with pytest.raises(SignerNotFound):
        desk.resume()
