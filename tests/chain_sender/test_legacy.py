"""A chain without EIP-1559: one gas price, and the same laws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from app.chain.adapters.rpc import Provider
from app.chain.types.transactions import AttemptOutcome, IntentStatus
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.process import free_port
from tests.chain_sender.audit import audit
from tests.chain_sender.desk import CHAIN_ID, OTHER, Desk
from tests.chain_sender.proxy import HONEST, BadNode


@pytest.fixture
def desk(engine: Engine, anvil_binary: Path, tmp_path: Path) -> Iterator[Desk]:
    """A desk on a node of the fork before London."""
    node = EmbeddedAnvil(
        anvil_binary, free_port(), tmp_path / "log", block_seconds=None, extra=("--hardfork", "berlin")
    )
    node.start()
    rpc = Provider(node.url, chain_id=CHAIN_ID)
    rpc.call("evm_setAutomine", False)
    yield Desk(engine, rpc, target=bytes.fromhex(OTHER[2:]))
    rpc.close()
    node.stop()


def test_sent_replaced_and_final_with_a_gas_price(desk: Desk) -> None:
    assert "baseFeePerGas" not in desk.node("eth_getBlockByNumber", "latest", False)
    intent_id = desk.plan(1, action="test.transfer", data=b"", value_wei=5)
    desk.advance(intent_id)
    desk.watch(after_seconds=60)
    first, second = desk.attempts(intent_id)
    assert (first.fees.tip_wei, second.fees.tip_wei) == (None, None)
    assert second.fees.max_fee_wei * 8 >= first.fees.max_fee_wei * 9
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.FINAL
    assert [a.outcome for a in desk.attempts(intent_id)] == [AttemptOutcome.BEATEN, AttemptOutcome.MINED]
    audit(desk)


def test_a_node_that_knows_no_fee_history_and_no_effective_price(desk: Desk) -> None:
    """As nodes of before London answer: the receipt names no price, so the one that was signed counts."""

    def old(call: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        if call["method"] == "eth_feeHistory":
            fault = {"code": -32601, "message": "the method eth_feeHistory does not exist/is not available"}
            return {"id": call["id"], "jsonrpc": "2.0", "error": fault}
        if call["method"] == "eth_getTransactionReceipt" and answer["result"] is not None:
            answer["result"].pop("effectiveGasPrice")
        return answer

    with BadNode(f"http://{desk.rpc.name}", lambda _calls: HONEST, old) as node:
        rpc = Provider(node.url, chain_id=CHAIN_ID)
        behind = desk.through(rpc)
        intent_id = behind.plan(1, action="test.transfer", data=b"", value_wei=5)
        behind.advance(intent_id)
        behind.settle()
        rpc.close()
    [attempt] = desk.attempts(intent_id)
    assert desk.status(intent_id) is IntentStatus.FINAL
    assert desk.intent(intent_id).spent_wei == 21_000 * attempt.fees.max_fee_wei + 5
    audit(desk)


def test_cancelled_with_a_gas_price(desk: Desk) -> None:
    intent_id = desk.plan(1, action="test.transfer", data=b"", value_wei=5)
    desk.advance(intent_id)
    desk.cancel(intent_id)
    desk.watch()
    desk.settle()
    assert desk.status(intent_id) is IntentStatus.CANCELLED
    audit(desk)
