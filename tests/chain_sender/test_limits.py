"""The breaker and the spend cap, on real rows and a real chain."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from app.chain.services.signers import reset_breaker
from app.chain.types.transactions import IntentStatus
from tests.chain_sender.audit import audit
from tests.chain_sender.desk import CHAIN_ID, Desk

ETHER = 10**18


def _reset(desk: Desk) -> None:
    with desk.session() as session:
        state = reset_breaker(session, chain_id=CHAIN_ID, address=desk.signer.address, now=desk.now)
        session.commit()
    assert state.breaker_reason is None


def test_what_live_intents_may_cost_makes_the_next_one_wait(desk: Desk) -> None:
    desk = desk.with_policy(max_spend_per_hour_wei=ETHER)
    first, second = desk.plan(1, value_wei=ETHER * 6 // 10), desk.plan(2, value_wei=ETHER * 3 // 10)
    third = desk.plan(3, value_wei=ETHER * 2 // 10)
    desk.advance(first, second, third)
    assert [desk.status(one) for one in (first, second)] == [IntentStatus.BROADCAST] * 2
    assert (desk.status(third), desk.error(third)) == (IntentStatus.PLANNED, "chain.spend_cap_reached")
    assert desk.signer_state().breaker_reason is None, "possible is not spent"
    assert desk.intent(third).nonce is None


def test_spending_up_to_the_cap_opens_the_breaker_until_it_is_reset(desk: Desk) -> None:
    desk = desk.with_policy(max_spend_per_hour_wei=ETHER)
    spent = desk.plan(1, value_wei=ETHER * 8 // 10)
    desk.advance(spent)
    desk.settle()
    held = desk.plan(2, value_wei=ETHER * 3 // 10)
    desk.advance(held)
    assert desk.error(held) == "chain.breaker_open"
    assert desk.open_alarms() == ["breaker_open"]
    small = desk.plan(3)
    desk.advance(small)
    assert desk.error(small) == "chain.breaker_open", "open for all, until somebody has looked"
    desk.now += timedelta(hours=2)
    desk.advance(small)
    assert desk.error(small) == "chain.breaker_open", "it does not close by itself"
    _reset(desk)
    assert desk.open_alarms() == []
    desk.advance(held, small)
    desk.settle()
    assert [desk.status(one) for one in (held, small)] == [IntentStatus.FINAL] * 2
    audit(desk)


def test_the_hour_passes(desk: Desk) -> None:
    desk = desk.with_policy(max_spend_per_hour_wei=ETHER)
    for key in (1, 2):
        intent_id = desk.plan(key, value_wei=ETHER * 8 // 10)
        desk.advance(intent_id)
        desk.settle()
        assert desk.status(intent_id) is IntentStatus.FINAL
        desk.now += timedelta(hours=1, seconds=1)


def test_what_can_never_fit_ends_by_itself_and_opens_nothing(desk: Desk) -> None:
    desk = desk.with_policy(max_spend_per_hour_wei=ETHER)
    intent_id = desk.plan(1, value_wei=2 * ETHER)
    desk.advance(intent_id)
    assert (desk.status(intent_id), desk.error(intent_id)) == (IntentStatus.FAILED, "chain.cost_above_cap")
    assert desk.signer_state().breaker_reason is None
    audit(desk)


def test_reverts_open_the_breaker(desk: Desk) -> None:
    desk = desk.with_policy(breaker_min_mined=4, breaker_max_reverted_bps=5000)
    ids = [desk.plan(key) for key in range(4)]
    desk.advance(*ids[:1])
    desk.mine()
    desk.advance(*ids[1:])
    desk.close_target(tip_gwei=100)
    desk.settle()
    assert [desk.status(one) for one in ids] == [IntentStatus.FINAL] + [IntentStatus.REVERTED] * 3
    following = desk.plan(9, to=b"\x11" * 20, data=b"")
    desk.advance(following)
    assert desk.error(following) == "chain.breaker_open"
    assert "3 of the last hour's 4" in (desk.signer_state().breaker_reason or "")
    _reset(desk)
    desk.advance(following)
    desk.settle()
    assert desk.status(following) is IntentStatus.FINAL
    audit(desk)


def test_a_replacement_may_not_break_the_cap_either(desk: Desk) -> None:
    intent_id = desk.plan(1, value_wei=ETHER)
    [sent] = desk.advance(intent_id)
    tight = Desk(
        desk.engine, desk.rpc, replace(desk.policy, max_spend_per_hour_wei=sent.max_cost_wei or 0), desk.target
    )
    tight.now = desk.now
    desk.base_fee(50)
    tight.watch(after_seconds=60)
    assert tight.error(intent_id) == "chain.spend_cap_reached"
    assert len(tight.attempts(intent_id)) == 1
