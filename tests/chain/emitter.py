"""A contract that emits what it is told to, and a hand on the node that mines, reorgs and rolls back."""

from __future__ import annotations

from functools import cache
from typing import Any

import requests
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from vyper.compiler import compile_code

SOURCE = """
# pragma version 0.4.3

event Moved:
    account: indexed(uint256)
    sender: indexed(address)
    amount: int256
    step: uint64

event Noted:
    account: indexed(uint256)
    note: String[64]

@external
def move(account: uint256, amount: int256, times: uint256):
    for step: uint256 in range(times, bound=200):
        log Moved(account=account, sender=msg.sender, amount=amount, step=convert(step, uint64))

@external
def note(account: uint256, text: String[64]):
    log Noted(account=account, note=text)

@external
def raw(topic: bytes32, account: uint256, data: Bytes[256]):
    raw_log([topic, convert(account, bytes32), empty(bytes32)], data)
"""
GAS = hex(16_000_000)


@cache
def compiled() -> dict[str, Any]:
    """The emitter's ABI and bytecode."""
    return dict(compile_code(SOURCE, output_formats=["abi", "bytecode"]))


class Chain:
    """The test's own hand on an anvil node; talks JSON-RPC by itself, so that what is tested does not test itself."""

    def __init__(self, url: str):
        self.url = url
        self._session = requests.Session()
        self.account = self.ask("eth_accounts")[0]
        self.emitter = self._emitted()

    def begin_anew(self) -> None:
        """Forget every block but the first, and put the emitter where it was."""
        self.ask("anvil_reset")
        emitter, self.emitter = self.emitter, self._emitted()
        assert self.emitter == emitter

    def _emitted(self) -> str:
        # The node answers a transaction before it mines the block; mined on command, it is there when we look.
        self.ask("evm_setAutomine", False)
        return self.deploy()

    def ask(self, method: str, *params: Any) -> Any:
        """The result of one call."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        answer = self._session.post(self.url, json=body, timeout=30).json()
        assert "error" not in answer, answer
        return answer["result"]

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def deploy(self) -> str:
        """Another emitter; its address."""
        bytecode = str(compiled()["bytecode"])
        return str(self.send({"from": self.account, "data": bytecode, "gas": GAS})["contractAddress"])

    def head(self) -> int:
        """The head's number."""
        return int(self.ask("eth_blockNumber"), 16)

    def mine(self, blocks: int = 1) -> None:
        """Empty blocks."""
        self.ask("anvil_mine", hex(blocks))

    def call_of(self, function: str, *values: Any, to: str | None = None) -> dict[str, str]:
        """A transaction that calls the emitter."""
        types = function[function.index("(") + 1 : -1].split(",")
        data = keccak(text=function)[:4] + encode(types, values)
        return {"from": self.account, "to": to or self.emitter, "data": "0x" + data.hex(), "gas": GAS}

    def moved(self, account: int, amount: int, times: int = 1, *, to: str | None = None) -> dict[str, str]:
        """A transaction that emits `times` Moved events."""
        return self.call_of("move(uint256,int256,uint256)", account, amount, times, to=to)

    def send(self, transaction: dict[str, str]) -> dict[str, Any]:
        """Mine a block with this transaction; its receipt."""
        sent = self.ask("eth_sendTransaction", transaction)
        self.ask("evm_mine")
        receipt: dict[str, Any] = self.ask("eth_getTransactionReceipt", sent)
        assert receipt["status"] == "0x1", receipt
        return receipt

    def move(self, account: int, amount: int, times: int = 1) -> None:
        """A block with `times` Moved events."""
        self.send(self.moved(account, amount, times))

    def reorg(self, depth: int, *transactions: tuple[dict[str, str], int]) -> None:
        """Replace the last `depth` blocks by as many, with these transactions in them (0: the first new block)."""
        self.ask("anvil_reorg", depth, [[transaction, place] for transaction, place in transactions])

    def rollback(self, blocks: int) -> None:
        """Cut the last blocks off."""
        self.ask("anvil_rollback", blocks)

    def logs(self) -> list[tuple[Any, ...]]:
        """Every log of the emitter, as the rows of chain_events should have them."""
        found = self.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "address": self.emitter})
        return [
            (
                int(log["blockNumber"], 16),
                log["blockHash"],
                int(log["logIndex"], 16),
                log["transactionHash"],
                log["address"],
                *[*log["topics"], None, None, None][:4],
                log["data"],
            )
            for log in found
        ]

    def topic(self, event: str) -> bytes:
        """The first topic of one of the emitter's events."""
        signatures = {"Moved": "Moved(uint256,address,int256,uint64)", "Noted": "Noted(uint256,string)"}
        return keccak(text=signatures[event])

    def headers(self, last: int) -> list[tuple[int, str, str]]:
        """Number, hash and parent of the blocks up to `last`."""
        blocks = [self.ask("eth_getBlockByNumber", hex(number), False) for number in range(last + 1)]
        return [(int(block["number"], 16), block["hash"], block["parentHash"]) for block in blocks]
