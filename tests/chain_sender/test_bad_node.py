"""The sender behind a node that drops, repeats and forgets: over real sockets, in front of the real node."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import UUID

import pytest

from app.chain.adapters.rpc import Provider
from app.chain.errors import NodeUnreachable
from app.chain.types.transactions import IntentStatus
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from tests.chain_sender.audit import audit
from tests.chain_sender.desk import CHAIN_ID, OTHER, Crash, Desk, crash_at
from tests.chain_sender.proxy import HONEST, SILENT, TWICE, UNREACHABLE, BadNode, Fault, Lie, methods

MISSING_STATE = {"code": -32000, "message": "missing trie node 00 (path ) state 0x00 is not available"}
SEND = {"eth_sendRawTransaction"}
VERDICTS = [HONEST, UNREACHABLE, SILENT, TWICE]


def _honest(_calls: list[dict[str, Any]]) -> str:
    return HONEST


@contextmanager
def _behind(desk: Desk, anvil: EmbeddedAnvil, fault: Fault = _honest, lie: Lie | None = None) -> Iterator[Desk]:
    """The desk, its node behind a bad one; no retries of its own, so that each fault is felt."""
    with BadNode(anvil.url, fault, lie) as bad:
        rpc = Provider(bad.url, chain_id=CHAIN_ID, timeout_seconds=5.0, attempts=1)
        try:
            yield desk.through(rpc)
        finally:
            rpc.close()


@pytest.mark.parametrize(("verdict", "arrived"), [(UNREACHABLE, 0), (SILENT, 1)])
def test_nobody_knows_whether_it_was_sent_and_so_it_is_sent_again(
    desk: Desk, anvil: EmbeddedAnvil, verdict: str, arrived: int
) -> None:
    intent_id = desk.plan(1)
    with (
        _behind(desk, anvil, lambda calls: verdict if methods(calls) == SEND else HONEST) as cut_off,
        pytest.raises(NodeUnreachable),
    ):
        cut_off.advance(intent_id)
    assert desk.status(intent_id) is IntentStatus.SIGNED
    assert desk.count("pending") == arrived
    desk.watch()
    assert desk.status(intent_id) is IntentStatus.BROADCAST
    desk.settle()
    assert len(desk.attempts(intent_id)) == 1
    audit(desk)


def test_it_was_mined_before_anybody_heard_that_it_was_sent(desk: Desk, anvil: EmbeddedAnvil) -> None:
    intent_id = desk.plan(1)
    with (
        _behind(desk, anvil, lambda calls: SILENT if methods(calls) == SEND else HONEST) as cut_off,
        pytest.raises(NodeUnreachable),
    ):
        cut_off.advance(intent_id)
    desk.mine()
    desk.advance(intent_id)  # the node says that the nonce is too low: its owner is ours
    assert desk.attempts(intent_id)[0].refusal == "chain.nonce_too_low"
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    assert desk.signer_state().halt_reason is None
    audit(desk)


def test_sending_the_same_bytes_twice_does_nothing(desk: Desk, anvil: EmbeddedAnvil) -> None:
    intent_id = desk.plan(1)
    with _behind(desk, anvil, lambda calls: TWICE if methods(calls) == SEND else HONEST) as doubled:
        doubled.advance(intent_id)
    assert desk.attempts(intent_id)[0].refusal == "chain.already_known"
    assert desk.status(intent_id) is IntentStatus.BROADCAST
    desk.settle()
    audit(desk)


def test_a_node_that_loses_receipts_does_not_make_us_send_twice(desk: Desk, anvil: EmbeddedAnvil) -> None:
    def no_receipts(call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        return answer | {"result": None} if call["method"] == "eth_getTransactionReceipt" else answer

    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.mine(desk.policy.confirmations + 1)
    with _behind(desk, anvil, lie=no_receipts) as forgetful:
        for _ in range(3):
            assert forgetful.watch(after_seconds=60).displaced == 0
    assert desk.intent(intent_id).nonce == 0, "its nonce is used, but not by another"
    assert desk.signer_state().halt_reason is None
    desk.watch()
    assert desk.status(intent_id) is IntentStatus.FINAL
    audit(desk)


def test_a_node_without_old_state_cannot_name_the_owner_and_the_nonce_is_kept(desk: Desk, anvil: EmbeddedAnvil) -> None:
    intent_id = desk.plan(1)
    desk.advance(intent_id)
    desk.forget()
    desk.send_from(desk.owner, to=OTHER, value="0x1", nonce="0x0")
    desk.mine(10)
    young = {hex(block) for block in range(9, 20)}

    def pruned(call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        old = call["method"] == "eth_getTransactionCount" and call["params"][1] not in {"latest", "pending", *young}
        return answer | {"result": None, "error": MISSING_STATE} if old else answer

    with _behind(desk, anvil, lie=pruned) as pruning:
        assert pruning.watch(after_seconds=60).displaced == 0
    assert (desk.intent(intent_id).nonce, desk.error(intent_id)) == (0, "chain.block_unavailable")
    assert desk.open_alarms() == ["signer_halted"]
    assert desk.watch().displaced == 1, "an archive node can tell"
    desk.resume()
    desk.watch(after_seconds=60)
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    audit(desk)


def test_bytes_that_no_node_will_take_give_way_to_a_cancellation(desk: Desk, anvil: EmbeddedAnvil) -> None:
    def refuse(call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        refused = {"id": call["id"], "jsonrpc": "2.0", "error": {"code": -32000, "message": "exceeds block gas limit"}}
        return refused if call["method"] == "eth_sendRawTransaction" else answer

    intent_id = desk.plan(1)
    with _behind(desk, anvil, lie=refuse) as strict:
        strict.advance(intent_id)
    desk.forget()
    assert (desk.status(intent_id), desk.error(intent_id)) == (IntentStatus.SIGNED, "chain.transaction_refused")
    desk.watch()
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.CANCELLED
    assert desk.hits(1) == 0
    audit(desk)


def test_what_a_rollup_takes_for_data_counts_as_spent(desk: Desk, anvil: EmbeddedAnvil) -> None:
    def rollup(call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if call["method"] == "eth_getTransactionReceipt" and answer["result"] is not None:
            answer["result"]["l1Fee"] = "0x3b9aca07"
        return answer

    with _behind(desk, anvil, lie=rollup) as above:
        intent_id = above.plan(1)
        above.advance(intent_id)
        above.settle()
    intent = desk.intent(intent_id)
    receipt = desk.node("eth_getTransactionReceipt", "0x" + (intent.transaction_hash or b"").hex())
    gas_wei = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert intent.spent_wei == gas_wei + 1_000_000_007


def test_a_pool_without_room_is_tried_again_and_nothing_is_given_up(desk: Desk, anvil: EmbeddedAnvil) -> None:
    def full(call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        refused = {"id": call["id"], "jsonrpc": "2.0", "error": {"code": -32000, "message": "txpool is full"}}
        return refused if call["method"] == "eth_sendRawTransaction" else answer

    intent_id = desk.plan(1)
    with _behind(desk, anvil, lie=full) as crowded:
        crowded.advance(intent_id)
    desk.forget()
    assert (desk.status(intent_id), desk.error(intent_id)) == (IntentStatus.SIGNED, "chain.pool_full")
    desk.watch(after_seconds=20)
    desk.settle()
    assert (desk.status(intent_id), len(desk.attempts(intent_id))) == (IntentStatus.FINAL, 1)
    audit(desk)


def test_a_price_that_a_pool_finds_too_low_is_raised_at_once(desk: Desk, anvil: EmbeddedAnvil) -> None:
    def choosy(call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        refused = {"id": call["id"], "jsonrpc": "2.0", "error": {"code": -32010, "message": "ReplacementNotAllowed"}}
        return refused if call["method"] == "eth_sendRawTransaction" else answer

    intent_id = desk.plan(1)
    with _behind(desk, anvil, lie=choosy) as strict:
        strict.advance(intent_id)
    desk.forget()
    assert desk.watch().signed == 1
    desk.settle()
    first, second = desk.attempts(intent_id)
    assert (first.refusal, second.fees.max_fee_wei > first.fees.max_fee_wei) == ("chain.underpriced", True)
    assert desk.status(intent_id) is IntentStatus.FINAL
    audit(desk)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_storm(desk: Desk, anvil: EmbeddedAnvil, seed: int) -> None:
    """Requests lost before and behind the node, doubled sends, a forgetful pool, reorgs, prices that jump, and deaths
    at random commits: in the end each intent is mined once, and no nonce is left over."""
    dice = random.Random(seed)  # noqa: S311 - a storm to be repeated, not a secret
    desk.mine(3)
    ids: list[UUID] = []
    with _behind(desk, anvil, lambda _calls: dice.choices(VERDICTS, [70, 10, 10, 10])[0]) as stormy:
        for key in range(0, 60, 3):
            ids += [stormy.plan(key + one) for one in range(3)]
            _act(stormy, ids[-3:], dice)
            _change_weather(desk, dice)
        desk.now = stormy.now
    _wait_for_calm(desk)
    assert {desk.status(one) for one in ids} == {IntentStatus.FINAL}
    assert [desk.hits(key) for key in range(60)] == [1] * 60
    assert desk.signer_state().halt_reason is None
    audit(desk)


def _act(stormy: Desk, ids: list[UUID], dice: random.Random) -> None:
    """A sender or a watcher at work, which may die at any commit."""
    deadly = crash_at(dice.randint(1, 12), before=dice.random() < 0.5)
    with suppress(NodeUnreachable, Crash):
        if dice.random() < 0.5:
            stormy.advance(*ids, commit=deadly)
    with suppress(NodeUnreachable, Crash):
        stormy.watch(after_seconds=dice.choice([1, 20, 50]), commit=deadly)


def _change_weather(desk: Desk, dice: random.Random) -> None:
    """What a chain may do between two looks at it; reorgs stay above finality."""
    match dice.randrange(8):
        case 0:
            desk.forget()
        case 1:
            desk.base_fee(dice.randint(1, 40))
        case 2 | 3:
            desk.reorg(dice.randint(1, desk.policy.confirmations))
        case _:
            desk.mine()


def _wait_for_calm(desk: Desk) -> None:
    for _ in range(20):
        desk.base_fee(1)
        if desk.watch(after_seconds=60).live == 0:
            return
        desk.mine(desk.policy.confirmations)
