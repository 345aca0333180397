"""A back-fill by real workers that are killed in the middle of chunks, beside a live head on a chain that reorganises.

At the end every table, also those folded from the events, is that of an index that read the chain in order.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import tasks.runtime
from app.chain.jobs import INDEX_HEAD, PLAN_BACKFILL
from app.jobs.errors import AlreadyLive
from app.jobs.services.enqueue import enqueue
from app.jobs.types import JobKind, NewJob
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import free_port
from config.groups import ChainSettings
from config.settings import Settings
from contracts.deploy import deploy
from contracts.price_server import PriceServer
from tasks.runtime import Runtime
from tests.fakes.hermes import serving
from tests.faults.deaths import Death
from tests.faults.ground import Ground, build
from tests.perps.history import DERIVED, PROTOCOL_FILE
from tests.perps.test_chain_and_tables import trade
from tests.perps.venue import NAME, Venue, fund

pytestmark = [pytest.mark.flow, pytest.mark.chain]

DEPTH = 6
# Each block takes a second of the chain's clock and less of ours: the chain begins in the past and may gain on us.
BEGAN_SECONDS_AGO = 3600
WORKERS = ("worker", "worker-2")
# In the middle of a chunk: between two of its ranges, inside a range's transaction, and right before its end commits.
DEATHS = (
    Death("worker.step.before", hit=2),
    Death("worker.step.after", hit=3),
    Death("sql.after", hit=25),
    Death("worker.finish.written"),
    Death("sql.before", hit=40),
    Death("worker.step.after", hit=1),
)
TABLES = ("chain_events", "chain_headers", *DERIVED)
CURSOR = "SELECT name, start_block, next_block, tip_hash FROM chain_cursors"


@dataclass
class Battle:
    """The exchange on a chain; the deployment under fire on `ground`; a quiet one that reads in order, in `venue`."""

    venue: Venue
    ground: Ground
    node: dict[str, str]
    dice: random.Random
    held: dict[str, tuple[bool, str]]

    def trades(self, count: int) -> None:
        """Blocks with events of every kind, and some without."""
        for _ in range(count):
            chain_now = int(self.venue.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
            self.venue.lag_seconds = int(time.time()) - chain_now
            trade(self.venue, self.dice, self.held)
            self.venue.mine(self.dice.randrange(3))

    def submit(self, kind: JobKind, **params: Any) -> UUID | None:
        """Queue a job; None where one like it lives."""
        with Session(self.engine) as session:
            try:
                job_id = enqueue(session, NewJob(kind=kind, params=params, principal="user:alice"))
            except AlreadyLive:
                return None
            session.commit()
            return job_id

    @property
    def engine(self) -> Engine:
        """The struck deployment's database."""
        return self.ground._engine

    def status(self, job_id: UUID) -> str:
        """A job's."""
        return str(self.ground.sql("SELECT status FROM jobs WHERE id = :id", id=job_id)[0][0])

    def chunks_ended(self) -> int:
        """How many chunks' jobs have."""
        return self.ground.count("jobs WHERE kind = 'chain.backfill' AND finished_at IS NOT NULL")


@pytest.fixture
def battle(
    anvil_binary: Path,
    tmp_path: Path,
    database_url: str,
    engine: Engine,
    broker: EmbeddedValkey,
    cache: EmbeddedValkey,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Battle]:
    """A chain with some history, and workers that know nothing of it yet."""
    began = ("--timestamp", str(int(time.time()) - BEGAN_SECONDS_AGO))
    node = EmbeddedAnvil(anvil_binary, free_port(), tmp_path / "anvil.log", block_seconds=None, extra=began)
    node.start()
    deployed = deploy(node.url)
    fund(node.url, deployed)
    deployed.write(tmp_path / "deployment.json")
    followed = ChainSettings(
        rpc_urls=(SecretStr(node.url),),
        finality=f"depth:{DEPTH}",
        protocol_files=(str(PROTOCOL_FILE),),
        deployment_file=str(tmp_path / "deployment.json"),
    )
    quiet = Runtime(
        Settings(
            _env_file=None,
            database_url=SecretStr(database_url),
            broker_url=SecretStr(broker.url),
            cache_url=SecretStr(cache.url),
            chain=followed,
        )
    )
    monkeypatch.setitem(tasks.runtime._runtimes, os.getpid(), quiet)
    environment = {
        "CHAIN__RPC_URLS": f'["{node.url}"]',
        "CHAIN__FINALITY": followed.finality,
        "CHAIN__PROTOCOL_FILES": f'["{PROTOCOL_FILE}"]',
        "CHAIN__DEPLOYMENT_FILE": str(followed.deployment_file),
        "CHAIN__MAX_RANGE_BLOCKS": "3",
    }
    prices = PriceServer(free_port(), seed=1, step_ppm=0)
    with serving(prices), build(tmp_path / "ground") as ground:
        venue = Venue(node.url, prices.url, deployed, quiet, engine)
        yield Battle(venue, ground, environment, random.Random(7), {})  # noqa: S311 - no secret
    quiet.engine.dispose()
    node.stop()


def test_workers_that_die_in_the_middle_of_chunks_leave_what_an_index_in_order_would(battle: Battle) -> None:
    ground, venue = battle.ground, battle.venue
    battle.trades(60)
    ground.stage({"dispatcher": {}} | {name: battle.node for name in WORKERS})
    for name in WORKERS:
        ground.deaths.order(name, DEATHS)
    plan = battle.submit(PLAN_BACKFILL, contract_set=NAME, chunk_blocks=8)
    assert plan is not None
    ground.wait_for(lambda: ground.count("jobs WHERE kind = 'chain.backfill'") > 10, 60, "chunks are planned")
    for strike in range(4):
        ended = battle.chunks_ended()
        battle.submit(INDEX_HEAD, contract_set=NAME)
        battle.trades(2)
        depth = battle.dice.randrange(1, DEPTH)
        battle.held.clear()  # a reorg takes what was opened in it
        venue.rpc("anvil_reorg", depth, [])
        ground.wait_for(
            lambda before=ended: battle.chunks_ended() > before or battle.status(plan) == "succeeded",
            60,
            "a chunk ends in spite of all",
        )
        ground.strike(WORKERS[strike % 2])
    ground.wait_for(lambda: battle.status(plan) in ("succeeded", "failed"), 120, "the plan's end")
    assert battle.status(plan) == "succeeded"
    assert ground.deaths.struck() >= len(DEATHS)
    assert ground.count("jobs WHERE kind = 'chain.backfill' AND crashes > 0") >= 3
    venue.mine(2)
    follow(battle)
    venue.index()
    assert found(battle.engine) == found(venue.engine)
    assert ground.count("perps_positions") > 10


def follow(battle: Battle) -> None:
    """Let the live head reach the chain's, whatever was on its way when the last death struck."""
    battle.ground.disarm()
    head = int(battle.venue.rpc("eth_blockNumber"), 16)

    def is_there() -> bool:
        battle.submit(INDEX_HEAD, contract_set=NAME)
        return battle.ground.count(f"chain_cursors WHERE next_block = {head + 1}") == 1

    battle.ground.wait_for(is_there, 60, "the live head is at the chain's")


def found(engine: Engine) -> dict[str, list[str]]:
    """The tables, row by row, and the cursor."""
    statements = {table: f"SELECT * FROM {table}" for table in TABLES} | {"cursor": CURSOR}  # noqa: S608
    with engine.connect() as connection:
        return {
            name: sorted(str([_plain(value) for value in row]) for row in connection.execute(text(statement)))
            for name, statement in statements.items()
        }


def _plain(value: Any) -> Any:
    return bytes(value).hex() if isinstance(value, memoryview | bytes) else value
