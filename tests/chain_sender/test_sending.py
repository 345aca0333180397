"""The sender on a real node: the straight way, and what stops an intent before it costs anything."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from app.chain.types.transactions import IntentStatus
from tests.chain_sender.audit import audit
from tests.chain_sender.desk import OTHER, Crash, Desk, crash_at


def test_a_planned_transaction_is_sent_mined_and_final_with_its_event(desk: Desk) -> None:
    intent_id = desk.plan(7, value_wei=5)
    [intent] = desk.advance(intent_id)
    assert (intent.status, intent.nonce) == (IntentStatus.BROADCAST, 0)
    assert desk.watch().mined == 0
    desk.mine()
    assert desk.watch().mined == 1
    assert desk.status(intent_id) is IntentStatus.MINED
    desk.mine(desk.policy.confirmations - 1)
    desk.watch()
    assert desk.status(intent_id) is IntentStatus.MINED, "one block short of its depth"
    desk.mine()
    assert desk.watch().ended == 1
    intent = desk.intent(intent_id)
    receipt = desk.node("eth_getTransactionReceipt", "0x" + (intent.transaction_hash or b"").hex())
    paid = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert (intent.status, intent.spent_wei) == (IntentStatus.FINAL, paid + 5)
    with desk.session() as session:
        event = session.execute(text("SELECT subject, payload FROM outbox WHERE topic = 'transactions'")).one()
    assert event.subject == str(intent_id)
    assert event.payload["status"] == "final"
    assert event.payload["transaction_hash"] == receipt["transactionHash"]
    assert desk.hits(7) == 1
    audit(desk)


def test_fifty_intents_take_as_few_requests_as_five(desk: Desk) -> None:
    def requests_for(keys: range) -> int:
        ids = [desk.plan(key) for key in keys]
        before = desk.rpc.requests_sent
        assert {intent.status for intent in desk.advance(*ids)} == {IntentStatus.BROADCAST}
        return desk.rpc.requests_sent - before

    assert requests_for(range(5)) == requests_for(range(100, 150)) == 3
    desk.settle()
    assert desk.count() == 55
    audit(desk)


def test_a_tick_with_nothing_live_asks_the_node_nothing(desk: Desk) -> None:
    before = desk.rpc.requests_sent
    assert desk.watch().live == 0
    assert desk.rpc.requests_sent == before


def test_a_revert_in_simulation_ends_the_intent_without_a_nonce(desk: Desk) -> None:
    desk.close_target()
    desk.mine()
    intent_id = desk.plan(1)
    [intent] = desk.advance(intent_id)
    assert (intent.status, intent.nonce) == (IntentStatus.FAILED, None)
    assert intent.error is not None
    assert intent.error["code"] == "chain.simulation_reverted"
    assert intent.error["detail"] == "the target is closed"
    assert desk.count() == 0
    audit(desk)
    assert desk.plan(1) != intent_id, "the subject is free again"


def test_a_revert_on_the_chain_is_final_too(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.close_target(tip_gwei=100)  # dearer, so it comes first in the block
    desk.settle()
    intent = desk.intent(intent_id)
    assert (intent.status, intent.receipt_status) == (IntentStatus.REVERTED, 0)
    assert (intent.spent_wei or 0) > 0
    assert desk.hits(1) == 0
    audit(desk)


def test_planning_twice_gives_the_one_live_intent(desk: Desk) -> None:
    first = desk.plan(1)
    assert desk.plan(1) == first
    desk.advance(first)
    assert desk.plan(1) == first
    desk.settle()
    assert desk.plan(1) != first


def test_dry_run_simulates_and_records_and_sends_nothing(desk: Desk) -> None:
    gate = desk.with_policy(dry_run=True)
    intent_id = gate.plan(1)
    [intent] = gate.advance(intent_id)
    assert (intent.status, intent.nonce) == (IntentStatus.REHEARSED, None)
    assert (intent.gas_limit or 0) > 21_000
    assert (intent.max_cost_wei or 0) > 0
    assert desk.count("pending") == 0
    audit(gate)


def test_dry_run_keeps_back_what_was_signed_before(desk: Desk) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.forget()
    desk.with_policy(dry_run=True).watch(after_seconds=1000)
    desk.mine()
    assert desk.count("pending") == 0
    desk.watch(after_seconds=2000)
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    audit(desk)


def test_gas_above_the_callers_ceiling_is_refused(desk: Desk) -> None:
    intent_id = desk.plan(1, gas_ceiling=22_000)
    [intent] = desk.advance(intent_id)
    assert intent.status is IntentStatus.FAILED
    assert intent.error is not None
    assert intent.error["code"] == "chain.gas_above_ceiling"


def test_above_the_fee_cap_it_waits_without_a_nonce_and_goes_when_gas_is_cheap(desk: Desk) -> None:
    desk.base_fee(300)
    intent_id = desk.plan(1, fee_cap_wei=100 * 10**9)
    [intent] = desk.advance(intent_id)
    assert (intent.status, intent.nonce) == (IntentStatus.PLANNED, None)
    assert intent.error is not None
    assert intent.error["code"] == "chain.fee_cap_reached"
    desk.base_fee(1)
    desk.watch(after_seconds=100)
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    assert all(a.fees.max_fee_wei <= 100 * 10**9 for a in desk.attempts(intent_id))
    audit(desk)


def test_an_intent_nobody_wants_any_more_is_not_sent(desk: Desk) -> None:
    intent_id = desk.plan(1, expires_at=desk.now + timedelta(seconds=10))
    desk.now += timedelta(seconds=10)
    [intent] = desk.advance(intent_id)
    assert (intent.status, intent.nonce) == (IntentStatus.CANCELLED, None)
    audit(desk)


def test_without_money_it_waits_and_says_so(desk: Desk) -> None:
    desk.node("anvil_setBalance", desk.owner, "0x0")
    intent_id = desk.plan(1, value_wei=1)
    [intent] = desk.advance(intent_id)
    assert intent.status is IntentStatus.PLANNED
    assert intent.error is not None
    assert intent.error["code"] == "chain.insufficient_funds"
    assert desk.open_alarms() == ["signer_underfunded"]
    desk.node("anvil_setBalance", desk.owner, hex(10**20))
    desk.watch(after_seconds=100)
    assert desk.open_alarms() == []
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    audit(desk)


def test_money_that_is_gone_between_simulation_and_sending_is_told_of_too(desk: Desk) -> None:
    intent_id = desk.plan(1)
    with pytest.raises(Crash):
        desk.advance(intent_id, commit=crash_at(4, before=False))
    desk.node("anvil_setBalance", desk.owner, "0x1")
    desk.advance(intent_id)
    assert (desk.status(intent_id), desk.error(intent_id)) == (IntentStatus.SIGNED, "chain.insufficient_funds")
    assert desk.open_alarms() == ["signer_underfunded"]
    desk.node("anvil_setBalance", desk.owner, hex(10**20))
    desk.watch(after_seconds=20)
    assert desk.open_alarms() == []
    desk.settle()
    assert (desk.status(intent_id), len(desk.attempts(intent_id))) == (IntentStatus.FINAL, 1)
    audit(desk)


def test_an_intent_of_another_signer_is_left_alone(desk: Desk) -> None:
    intent_id = desk.plan(1, signer=bytes.fromhex(OTHER[2:]))
    [intent] = desk.advance(intent_id)
    assert intent.status is IntentStatus.PLANNED
    assert desk.watch().live == 0
