"""What the storms of money run on: real servers, a chain, two workers with one signer, a dispatcher and beat."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import psutil
from redis import Redis
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

import migrations
from app.core.db import make_engine
from app.jobs.services.enqueue import enqueue_all
from app.jobs.services.schedules import seed
from app.jobs.types import JobKind, NewJob
from app.ops.adapters.embedded_anvil import install_anvil
from app.ops.adapters.embedded_postgres import EmbeddedPostgres
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import ServerProcess, free_port
from config.settings import ChainSettings, Settings
from tasks.schedule import schedule
from tests.chain_sender.desk import OWNER_KEY
from tests.faults.money.kinds import PAY, WATCH
from tests.faults.money.node import CONFIRMATIONS, Chain
from tests.faults.money.strikes import FOLDER, Strike, Strikes

ROOT = Path(__file__).resolve().parents[3]
BLOCK_SECONDS = 0.2
SETTLE_SECONDS = 90.0
FROZEN_SECONDS = 3.0
LOOK_SECONDS = 0.5
LEASE_SECONDS = 2.0
SETTINGS = {
    "JOBS__LEASE_SECONDS": str(LEASE_SECONDS),
    "JOBS__MAINTENANCE_SECONDS": "0.2",
    "JOBS__RESEND_AFTER_SECONDS": "0.5",
    "JOBS__MAX_CRASHES": "50",
    "CHAIN__CONFIRMATIONS": str(CONFIRMATIONS),
    "CHAIN__RPC_TIMEOUT_SECONDS": "2",
    "CHAIN__SIGNER_KEY": OWNER_KEY,
    "CHAIN__RESUME_AFTER_SECONDS": "1.5",
    "CHAIN__REBROADCAST_AFTER_SECONDS": "1.5",
    "CHAIN__REPLACE_AFTER_SECONDS": "3",
    "CHAIN__MAX_SPEND_PER_HOUR_WEI": str(10**20),
    "CHAIN__WATCH_SECONDS": "1",
    "REMAP_SIGTERM": "SIGQUIT",
}


@dataclass(frozen=True, slots=True)
class Order:
    """A job that was accepted: the payments it stands for, and the strike that waits for it."""

    job_id: UUID
    keys: tuple[int, ...]
    strike: Strike | None = None


@dataclass
class Ground:
    """The servers and processes; `tend` is called wherever somebody waits, and keeps the chain going."""

    folder: Path
    postgres: EmbeddedPostgres
    broker: EmbeddedValkey
    cache: EmbeddedValkey
    chain: Chain
    strikes: Strikes
    engine: Engine
    keepers: list[ServerProcess] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    mines: bool = True
    _keys: Iterator[int] = field(default_factory=lambda: count(1))
    _mined_at: float = 0.0
    _looked_at: float = 0.0
    _stopped_since: dict[int, float] = field(default_factory=dict)

    def sql(self, statement: str, **values: Any) -> Sequence[Any]:
        """Run a statement, commit, and give all rows."""
        with self.engine.begin() as connection:
            result = connection.execute(text(statement), values)
            return result.all() if result.returns_rows else []

    def pay(self, jobs: int, each: int = 1, strikes: Sequence[Strike] = (), **params: Any) -> list[Order]:
        """Accept so many jobs of `each` payments, in one transaction; the first ones meet `strikes`."""
        keys = [tuple(next(self._keys) for _ in range(each)) for _ in range(jobs)]
        target = self.chain.target.hex()
        wanted = [{"keys": list(group), "target": target} | params for group in keys]
        orders = self._accept(PAY, wanted, keys, strikes)
        self.orders += orders
        return orders

    def watch(self, strikes: Sequence[Strike]) -> list[Order]:
        """Ticks of the watcher beside those of beat, each with its strike."""
        return self._accept(WATCH, [{}] * len(strikes), [()] * len(strikes), strikes)

    def _accept(
        self, kind: JobKind, params: Sequence[Any], keys: Sequence[tuple[int, ...]], strikes: Sequence[Strike]
    ) -> list[Order]:
        with Session(self.engine) as session:
            jobs = [NewJob(kind=kind, params=one, principal="user:test") for one in params]
            ids = [job_id for job_id in enqueue_all(session, jobs) if isinstance(job_id, UUID)]
            assert len(ids) == len(jobs)
            met = [*strikes, *[None] * (len(ids) - len(strikes))]
            orders = [Order(*one) for one in zip(ids, keys, met, strict=True)]
            for order in orders:
                if order.strike is not None:
                    self.strikes.put(order.job_id, order.strike)
            session.commit()
        return orders

    # Waiting.

    def tend(self) -> None:
        """A block when it is time, and whoever was stopped past its lease goes on."""
        now = time.monotonic()
        if self.mines and now - self._mined_at >= BLOCK_SECONDS:
            self.chain.mine()
            self._mined_at = now
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._resume_the_stopped(now)

    def _resume_the_stopped(self, now: float) -> None:
        for process in self.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if process.status() != psutil.STATUS_STOPPED:
                    self._stopped_since.pop(process.pid, None)
                elif now - self._stopped_since.setdefault(process.pid, now) > FROZEN_SECONDS:
                    process.resume()

    def wait_for(self, condition: Callable[[], bool], seconds: float = SETTLE_SECONDS) -> bool:
        """Tend until true; False when it did not come."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                return False
            self.tend()
            time.sleep(0.05)
        return True

    def wait_a_while(self, seconds: float) -> None:
        """Tend for so long."""
        self.wait_for(lambda: False, seconds)

    def settle(self, orders: Sequence[Order]) -> bool:
        """Until every order has ended and no transaction is under way; False when that did not come."""
        ids = [order.job_id for order in orders]
        return self.wait_for(lambda: self._settled(ids))

    def _settled(self, ids: Sequence[UUID]) -> bool:
        (jobs,) = self.sql("SELECT count(*) FROM jobs WHERE id = ANY(:ids) AND finished_at IS NULL", ids=list(ids))[0]
        (live,) = self.sql("SELECT count(*) FROM chain_intents WHERE finished_at IS NULL")[0]
        return (jobs, live) == (0, 0)

    def any_broadcast(self) -> bool:
        """Whether a transaction is out, and not seen in a block yet."""
        return bool(self.sql("SELECT FROM chain_intents WHERE status = 'broadcast'"))

    def last_end(self, orders: Sequence[Order]) -> float:
        """When the last of the orders ended, in seconds since 1970; now, while one has not."""
        ids = [order.job_id for order in orders]
        ended = (
            "SELECT extract(epoch FROM max(coalesce(finished_at, clock_timestamp()))) FROM jobs WHERE id = ANY(:ids)"
        )
        return float(self.sql(ended, ids=ids)[0][0])

    def unfinished(self, orders: Sequence[Order]) -> list[str]:
        """The orders whose job did not succeed."""
        found = self.sql(
            "SELECT id, status FROM jobs WHERE id = ANY(:ids) AND status <> 'succeeded'",
            ids=[order.job_id for order in orders],
        )
        return [f"job {row.id} is {row.status}" for row in found]

    # Processes.

    def children(self) -> list[psutil.Process]:
        """Every process under a keeper."""
        found: list[psutil.Process] = []
        for keeper in self.keepers:
            with contextlib.suppress(psutil.NoSuchProcess):
                found += psutil.Process(keeper.pid).children(recursive=True)
        return found

    def start(self, name: str, *role: str) -> None:
        """Start one of ours under its keeper."""
        keeper = ServerProcess(
            name, (sys.executable, "-m", "tests.faults.money.roles", *role), self.folder / f"{name}.log"
        )
        keeper.start(environment=self.environment, cwd=ROOT)
        self.keepers.append(keeper)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of our processes."""
        return (
            os.environ
            | SETTINGS
            | {
                "DATABASE_URL": self.postgres.url(),
                "BROKER_URL": self.broker.url,
                "CACHE_URL": self.cache.url,
                "CHAIN__RPC_URLS": f'["{self.chain.url}"]',
                FOLDER: str(self.folder / "strikes"),
            }
        )

    def kill(self, *names: str) -> None:
        """SIGKILL to all that these keepers keep; they are born again at once."""
        for keeper in self.keepers:
            if keeper.name in names:
                for process in psutil.Process(keeper.pid).children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        process.kill()

    def kill_child(self, rng: Random) -> None:
        """SIGKILL to one process of ours that has no other below it, whatever it is doing."""
        with contextlib.suppress(psutil.NoSuchProcess):
            rng.choice([process for process in self.children() if not process.children()]).kill()

    def flush(self) -> None:
        """Redis forgets everything."""
        with Redis.from_url(self.broker.url) as client:
            client.flushall()

    def crash_postgres(self) -> None:
        """SIGKILL to Postgres with everything under it, and a start on what it had written."""
        self.postgres.process.kill()
        self.postgres.start()
        self.engine.dispose()

    def stop(self) -> None:
        """End everything, ours first; also children whose parent is dead."""
        for keeper in self.keepers:
            assert keeper.pid is not None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(keeper.pid, signal.SIGKILL)
            keeper.kill()
        self.engine.dispose()
        self.chain.stop()
        self.cache.stop()
        self.broker.stop()
        self.postgres.stop()


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """A ground of one's own, migrated, with everything running on it."""
    folder.mkdir(parents=True, exist_ok=True)
    postgres = EmbeddedPostgres(
        folder / "pg", free_port(), secrets.token_hex(8), folder / "pg.log", extra=("fsync = off",)
    )
    postgres.start()
    servers = [
        EmbeddedValkey(role, folder / role, free_port(), secrets.token_hex(8), folder / f"{role}.log")
        for role in ("broker", "cache")
    ]
    for server in servers:
        server.start()
    migrations.upgrade(postgres.url())
    chain = Chain(install_anvil(ROOT / ".run" / "node"), folder)
    engine = make_engine(postgres.url(), pool_size=2)
    made = Ground(folder, postgres, *servers, chain, Strikes(folder / "strikes"), engine)
    try:
        _seed(engine)
        for name, *role in (("one", "worker", "one"), ("two", "worker", "two"), ("dispatcher",) * 2, ("beat",) * 2):
            made.start(name, *role)
        yield made
    finally:
        made.stop()


def _seed(engine: Engine) -> None:
    settings = Settings(_env_file=None, chain=ChainSettings(watch_seconds=1))
    with Session(engine) as session:
        seed(session, [entry for entry in schedule(settings) if entry.name == "transactions"])
        session.commit()
