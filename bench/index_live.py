"""At the head: how long after its block an event is in the tables, and what looking costs when there is nothing new."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time

from sqlalchemy import Connection, text

from bench.index_chain import BenchChain, Hand, emit
from bench.report import Row, percentile
from bench.stand import OURS, ROOT, Stand, wait_until

BLOCKS = 60
PAUSE_SECONDS = (0.05, 0.6)
EVENTS = text("SELECT count(*) FROM chain_events")


def live(stand: Stand, chain: BenchChain, command: list[str]) -> list[Row]:
    """Follow the head with `command`, and mine events at irregular moments."""
    environment = os.environ | {"ENV_FILE": "", "DATABASE_URL": stand.postgres.url(OURS)}
    hand, engine = Hand(chain.node.url), stand.engine(OURS)
    random.seed(1)
    with (
        engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        subprocess.Popen([*command, "--follow"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as follower,  # noqa: S603 - our own command line
    ):
        try:
            seen = _grown(connection, 0, 60.0)
            delays = []
            for number in range(BLOCKS):
                time.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - spreads blocks
                emit(hand, chain.address, chain.events + number, 1)
                mined = time.perf_counter()
                seen = _grown(connection, seen, 10.0)
                delays.append(time.perf_counter() - mined)
        finally:
            follower.terminate()
    hand.close()
    engine.dispose()
    again = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)  # noqa: S603 - the same
    asked = json.loads(again.stdout)["requests"]
    return [
        Row(metric="mined to committed, following, s, p50", ours=percentile(delays, 0.5), bar=0.4, ceiling=True),
        Row(metric="mined to committed, following, s, p99", ours=percentile(delays, 0.99)),
        Row(
            metric="requests of a run without new blocks",
            ours=asked,
            bar=2,
            ceiling=True,
        ),
    ]


def _grown(connection: Connection, before: int, seconds: float) -> int:
    """Wait for more events than `before`; how many there are."""
    found = before

    def more() -> bool:
        nonlocal found
        found = connection.scalar(EVENTS) or 0
        return found > before

    wait_until(more, seconds, pause=0.002)
    return found
