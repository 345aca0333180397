"""Reorgs at the head: how long after a reorg's end the tables are those of the new chain, events and positions."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from bench.index_chain import BenchChain, Hand, emit, opening
from bench.report import Row
from bench.stand import OURS, ROOT, Stand, wait_until

DEEPEST = 122
LONGEST_SECONDS = 60.0
BAR_SECONDS = 5.0

TIP = text("SELECT tip_hash FROM chain_cursors")
HEADERS = text("SELECT number, hash FROM chain_headers WHERE number >= :base ORDER BY number")
EVENTS = text(
    "SELECT block_number, block_hash, log_index FROM chain_events WHERE block_number >= :base"
    " ORDER BY block_number, log_index"
)
POSITIONS = text(
    "SELECT CAST(key AS numeric), opened_block_hash, opened_log_index FROM perps_positions"
    " WHERE opened_block_number >= :base ORDER BY opened_block_number, opened_log_index"
)
OLDER = text(
    "SELECT (SELECT count(*) FROM chain_events WHERE block_number < :base),"
    " (SELECT count(*) FROM perps_positions WHERE opened_block_number < :base)"
)


class State(NamedTuple):
    """What stands above a block that no reorg reaches, and how much stands below it."""

    headers: list[tuple[int, str]]
    events: list[tuple[int, str, int]]
    positions: list[tuple[int, str, int]]
    older: tuple[int, int]


class Scene:
    """The chain's end, and a hand on it."""

    def __init__(self, chain: BenchChain, hand: Hand, connection: Connection):
        self.chain, self.hand, self.connection = chain, hand, connection
        self.base = int(hand.ask("eth_blockNumber"), 16) - 2 * DEEPEST
        self.identities = count(10**9)
        self.older = self._found(OLDER)[0]

    def replace(self, depth: int) -> None:
        """The last blocks are replaced by as many, with a position opened in each."""
        new = [[opening(self.hand, self.chain.address, next(self.identities), 1), place] for place in range(depth)]
        self.hand.ask("anvil_reorg", depth, new)

    def replace_by(self, depth: int, blocks: int) -> None:
        """The last blocks are replaced by so many others."""
        self.hand.ask("anvil_rollback", depth)
        for _ in range(blocks):
            emit(self.hand, self.chain.address, next(self.identities), 1)

    def caught_up(self) -> None:
        """Wait until the tables are the chain."""
        truth = self.truth()
        head = truth.headers[-1][1]
        wait_until(lambda: self._tip() == head, LONGEST_SECONDS, pause=0.002)
        wait_until(lambda: self.tables() == truth, LONGEST_SECONDS, pause=0.02)

    def _tip(self) -> str:
        tip = self.connection.scalar(TIP)
        return "" if tip is None else "0x" + bytes(tip).hex()

    def truth(self) -> State:
        """As the node has it."""
        last = int(self.hand.ask("eth_blockNumber"), 16)
        blocks = [self.hand.ask("eth_getBlockByNumber", hex(number), False) for number in range(self.base, last + 1)]
        asked = {"address": self.chain.address, "fromBlock": hex(self.base), "toBlock": "latest"}
        logs = self.hand.ask("eth_getLogs", asked)
        places = [(log["blockHash"], int(log["logIndex"], 16)) for log in logs]
        return State(
            [(int(block["number"], 16), block["hash"]) for block in blocks],
            [(int(log["blockNumber"], 16), *place) for log, place in zip(logs, places, strict=True)],
            [(int(log["topics"][1], 16), *place) for log, place in zip(logs, places, strict=True)],
            self.older,
        )

    def tables(self) -> State:
        """As the tables have it."""
        return State(self._found(HEADERS), self._found(EVENTS), self._found(POSITIONS), self._found(OLDER)[0])

    def _found(self, statement: Any) -> list[Any]:
        rows = self.connection.execute(statement, {"base": self.base})
        return [tuple("0x" + bytes(one).hex() if isinstance(one, memoryview) else one for one in row) for row in rows]


def reorgs(stand: Stand, chain: BenchChain, command: list[str]) -> list[Row]:
    """Follow the head with `command`, and replace it in five ways."""
    environment = os.environ | {"ENV_FILE": "", "DATABASE_URL": stand.postgres.url(OURS)}
    hand, engine = Hand(chain.node.url), stand.engine(OURS)

    @contextmanager
    def following() -> Iterator[None]:
        with subprocess.Popen([*command, "--follow"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as follower:  # noqa: S603 - our own command line
            try:
                yield
            finally:
                follower.terminate()

    def measured(metric: str, act: Callable[[], None]) -> Row:
        act()
        return equal_since(time.perf_counter(), metric)

    def equal_since(began: float, metric: str) -> Row:
        scene.caught_up()
        return Row(metric=metric, ours=time.perf_counter() - began, bar=BAR_SECONDS, ceiling=True)

    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        scene = Scene(chain, hand, connection)
        with following():
            scene.caught_up()
            rows = [
                measured("reorg, 7 deep, end to tables equal, s", lambda: scene.replace(7)),
                measured("reorg, the last block by another of its height, s", lambda: scene.replace(1)),
                measured("reorg, 7 replaced by 3, s", lambda: scene.replace_by(7, 3)),
                measured(f"reorg, {DEEPEST} deep, s", lambda: scene.replace(DEEPEST)),
            ]
        scene.replace(7)
        started = time.perf_counter()
        with following():
            rows.append(equal_since(started, "reorg, 7 deep while stopped, start to tables equal, s"))
    hand.close()
    engine.dispose()
    return rows
