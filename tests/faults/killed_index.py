"""`manage.py index` dies by SIGKILL, over and over, while the chain grows and is reorganised; then it reads to the end.

Half of the deaths come at a statement that the dice name, the other half at any moment, also inside a COPY, a request
or the start.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from app.ops.adapters.embedded_anvil import EmbeddedAnvil, install_anvil
from app.ops.adapters.process import free_port
from tests.chain.emitter import Chain, compiled
from tests.faults.ground import ROOT, Ground
from tests.faults.money.rows import Row

NAME = "indexer-killed"
KILLS = 60
DATABASE = "killed_index"
LONGEST_SECONDS = 120.0
STATEMENTS = 40
LATEST_SECONDS = 2.5
REORG_DEPTH = 12
PROTOCOL = """
chain_id = 31339
[contracts.emitter]
address = "{address}"
abi = "emitter.json"
"""
EVENTS = text(
    "SELECT block_number, block_hash, log_index, transaction_hash, address, topic0, topic1, topic2, topic3, data"
    " FROM chain_events"
)
HEADERS = text("SELECT number, hash FROM chain_headers")


@dataclass
class Victim:
    """The command, on a database and a chain of its own."""

    url: str
    folder: Path
    chain: Chain
    dice: random.Random

    def live(self, **variables: str) -> subprocess.Popen[bytes]:
        """Start it; small ranges, so that a run has many transactions."""
        command = [sys.executable, "manage.py", "index", "--protocol", str(self.folder / "emitter.toml")]
        environment = {"ENV_FILE": "", "DATABASE_URL": self.url, "CHAIN__MAX_RANGE_BLOCKS": "5", **variables}
        with (self.folder / "index.log").open("ab") as log:
            return subprocess.Popen(
                [*command, "--rpc", self.chain.url], cwd=ROOT, env=os.environ | environment, stdout=log, stderr=log
            )

    def die(self) -> bool:
        """One life; true when it ended by a kill, false when it was through before that."""
        if self.dice.random() < 0.5:
            place = self.dice.choice(["sql.before", "sql.after"])
            hit = str(self.dice.randrange(1, STATEMENTS))
            return self.live(FAILPOINT__NAME=place, FAILPOINT__HIT=hit).wait(LONGEST_SECONDS) < 0
        life = self.live()
        try:
            return life.wait(self.dice.uniform(0.3, LATEST_SECONDS)) < 0
        except subprocess.TimeoutExpired:
            life.kill()
            return life.wait(LONGEST_SECONDS) < 0

    def change(self) -> None:
        """What a chain does meanwhile."""
        for _ in range(self.dice.randrange(1, 8)):
            self.chain.send(self.transaction())
        depth = min(self.dice.randrange(1, REORG_DEPTH), self.chain.head() - 1)
        if self.dice.random() < 0.3:
            self.chain.reorg(depth, *[(self.transaction(), self.dice.randrange(depth)) for _ in range(depth)])
        elif self.dice.random() < 0.2:
            self.chain.rollback(depth)

    def transaction(self) -> dict[str, str]:
        """Some events."""
        return self.chain.moved(self.dice.randrange(5), self.dice.randrange(10**9), self.dice.randrange(1, 4))

    def tables(self) -> tuple[list[tuple[Any, ...]], dict[int, str]]:
        """The events in their order as the chain gives them, and the kept headers' hashes by number."""
        engine = create_engine(self.url, poolclass=NullPool)
        with engine.connect() as connection:
            events = [tuple(plain(value) for value in row) for row in connection.execute(EVENTS)]
            headers = {row.number: plain(row.hash) for row in connection.execute(HEADERS)}
        engine.dispose()
        return sorted(events, key=lambda event: (event[0], event[2])), headers


def plain(value: Any) -> Any:
    """Bytes as hex."""
    return "0x" + bytes(value).hex() if isinstance(value, memoryview | bytes) else value


@contextlib.contextmanager
def victim(ground: Ground, seed: int) -> Iterator[Victim]:
    """A chain with the emitter, an empty database, and the command's protocol file."""
    folder = ground.folder / "index"
    folder.mkdir(exist_ok=True)
    node = EmbeddedAnvil(install_anvil(ROOT / ".run" / "node"), free_port(), folder / "anvil.log", block_seconds=None)
    node.start()
    admin = create_engine(ground.postgres.url(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        chain = Chain(node.url)
        (folder / "emitter.json").write_text(json.dumps(compiled()["abi"]))
        (folder / "emitter.toml").write_text(PROTOCOL.format(address=chain.emitter))
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)"))
            connection.execute(text(f"CREATE DATABASE {DATABASE}"))
        yield Victim(ground.postgres.url(DATABASE), folder, chain, random.Random(seed))  # noqa: S311 - no secret
        chain.close()
    finally:
        node.stop()


def row(ground: Ground, seed: int, kills: int = KILLS) -> Row:
    """Kill it so often, let it read to the end, and hold the tables against the chain."""
    with victim(ground, seed) as one:
        killed, lives = 0, 0
        while killed < kills and lives < 4 * kills:
            one.change()
            killed += one.die()
            lives += 1
        one.chain.send(one.transaction())  # a chain cut below finality shows itself by its next block
        began = time.monotonic()
        ended = one.live().wait(LONGEST_SECONDS)
        took = time.monotonic() - began
        return judged(one, killed, lives, ended, took, wanted=kills)


def judged(one: Victim, killed: int, lives: int, ended: int, took: float, *, wanted: int) -> Row:
    """What the tables have that the chain has not, and the other way round."""
    events, headers = one.tables()
    logs = one.chain.logs()
    lost, stale = set(logs) - set(events), set(events) - set(logs)
    hashes = {number: block_hash for number, block_hash, _ in one.chain.headers(one.chain.head())}
    complaints = [f"the last run ended with {ended}"] if ended else []
    complaints += [f"lost: {sorted(lost)[:3]}"] if lost else []
    complaints += [f"not in the chain, or twice: {sorted(stale)[:3]}"] if stale or len(events) != len(logs) else []
    complaints += [] if headers.items() <= hashes.items() else ["kept headers are not the chain's"]
    complaints += [f"only {killed} of {lives} lives ended by a kill"] if killed < wanted else []
    return Row(
        fault=NAME,
        intents=len(logs),
        lost=len(lost),
        doubled=len(stale) + len(events) - len(set(events)),
        missing=0,
        recovery_seconds=took,
        note=f"{killed} kills in {lives} lives",
        complaints=tuple(complaints),
    )
