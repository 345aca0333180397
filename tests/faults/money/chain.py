"""The chain, and what can befall it: the storm's driver mines every block, so it knows what a fault takes away."""

from __future__ import annotations

import gzip
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eth_account import Account

from app.chain.adapters.rpc import Call, Provider
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.process import free_port
from tests.chain_sender.desk import CHAIN_ID, OTHER, OWNER_KEY, target_bytecode

CONFIRMATIONS = 3
KEPT_STATES = "16"
"""Blocks whose state the node keeps: what a restart has to carry over."""


class Chain:
    """One anvil that mines when told, and a contract that counts its calls.

    No fault removes a block with `CONFIRMATIONS` on top of it, as seen at the highest head ever: what is final stays.
    """

    def __init__(self, binary: Path, folder: Path):
        self._binary, self._folder, self._port = binary, folder, free_port()
        self._node = self._started()
        self.rpc = Provider(self._node.url, chain_id=CHAIN_ID, timeout_seconds=30.0, max_answer_bytes=1 << 28)
        self.owner = bytes.fromhex(Account.from_key(OWNER_KEY).address[2:])
        self._highest = 0
        sent = self("eth_sendTransaction", {"from": OTHER, "data": target_bytecode()})
        self.mine(CONFIRMATIONS + 1)
        self.target = bytes.fromhex(self("eth_getTransactionReceipt", sent)["contractAddress"][2:])
        self.first_balance_wei = self.balance_wei(self.owner)

    def __call__(self, method: str, *params: Any) -> Any:
        return self.rpc.call(method, *params)

    @property
    def url(self) -> str:
        return self._node.url

    def mine(self, blocks: int = 1) -> None:
        for _ in range(blocks):
            self("evm_mine")
        self._highest = max(self._highest, self.head())

    def head(self) -> int:
        return int(self("eth_blockNumber"), 16)

    def count(self, block: str = "latest") -> int:
        """The signer's transaction count."""
        return int(self("eth_getTransactionCount", "0x" + self.owner.hex(), block), 16)

    def balance_wei(self, address: bytes) -> int:
        return int(self("eth_getBalance", "0x" + address.hex(), "latest"), 16)

    def sent_by_owner(self) -> list[dict[str, Any]]:
        """Every transaction of the signer in the chain, block by block."""
        blocks = self.rpc.batch(
            [Call("eth_getBlockByNumber", (hex(number), True)) for number in range(self.head() + 1)]
        )
        found = [transaction for block in blocks for transaction in block["transactions"]]
        return [one for one in found if bytes.fromhex(one["from"][2:]) == self.owner]

    # What can befall it.

    def drop_pool(self) -> None:
        """The node forgets what it has not mined, transaction by transaction."""
        pool = self("txpool_content")
        for waiting in (*pool["pending"].values(), *pool["queued"].values()):
            for transaction in waiting.values():
                self("anvil_dropTransaction", transaction["hash"])

    def reorg(self, depth: int) -> None:
        """The newest blocks are replaced by empty ones."""
        if (depth := self._removable(depth)) > 0:
            self("anvil_reorg", depth, [])

    def roll_back(self, depth: int) -> None:
        """The newest blocks are gone, and the head is lower than it was."""
        if (depth := self._removable(depth)) > 0:
            self("anvil_rollback", depth)

    def raise_base_fee(self, gwei: int) -> None:
        """A block at this base fee: what offers less stays in the pool."""
        self("anvil_setNextBlockBaseFeePerGas", hex(gwei * 10**9))
        self.mine()

    def restart(self) -> None:
        """SIGKILL, and started again on the chain as it was; the pool is lost."""
        state = self._folder / "state.json"
        state.write_bytes(gzip.decompress(bytes.fromhex(self("anvil_dumpState", True)[2:])))
        self._node.process.kill()
        self._node = self._started("--load-state", str(state))
        self.rpc.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP: it takes connections, and does not answer."""
        assert self._node.process.pid is not None
        os.kill(self._node.process.pid, signal.SIGSTOP)
        yield
        os.kill(self._node.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        self.rpc.close()
        self._node.process.kill()

    def _removable(self, depth: int) -> int:
        return min(depth, self.head() - (self._highest - CONFIRMATIONS))

    def _started(self, *extra: str) -> EmbeddedAnvil:
        options = ("--no-mining", "--silent", "--prune-history", KEPT_STATES, *extra)
        node = EmbeddedAnvil(self._binary, self._port, self._folder / "anvil.log", block_seconds=None, extra=options)
        node.start()
        return node
