"""The ground under the storms of money: a chain beside the servers, two workers with one signer, and beat's watcher."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

import psutil
from redis import Redis
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from app.jobs.services.enqueue import enqueue_all
from app.jobs.services.schedules import seed
from app.jobs.types import JobKind, NewJob
from app.ops.adapters.embedded_anvil import install_anvil
from config.groups import ChainSettings
from config.settings import Settings
from tasks.schedule import schedule
from tests.chain_sender.desk import OWNER_KEY
from tests.faults.deaths import Death
from tests.faults.ground import ROOT, Cast, Ground
from tests.faults.money.chain import CONFIRMATIONS, Chain
from tests.faults.money.kinds import TRANSFER, WATCH

WORKERS = ("worker", "worker-2")
BLOCK_SECONDS = 0.2
LOOK_SECONDS = 0.5
STILL_SECONDS = 10.0
FROZEN_SECONDS = 3.0
"""A stopped process goes on after so long, which is past its lease."""

TABLES = "chain_intents, chain_attempts, chain_signers, chain_alarms"


@dataclass(frozen=True, slots=True)
class Order:
    """A job that was accepted: the payments it stands for, the death that its first attempt meets, and whether its
    payments may come to nothing because they are soon no longer wanted."""

    job_id: UUID
    keys: tuple[int, ...]
    death: Death | None
    expires: bool


@dataclass
class Bank:
    """Takes orders, and mines: `tend` is called wherever somebody waits, and keeps the chain going."""

    ground: Ground
    chain: Chain
    engine: Engine
    orders: list[Order] = field(default_factory=list)
    mines: bool = True
    _keys: Iterator[int] = field(default_factory=lambda: count(1))
    _mined_at: float = 0.0
    _looked_at: float = 0.0
    _stopped_since: dict[int, float] = field(default_factory=dict)

    def pay(self, jobs: int, each: int = 1, deaths: Sequence[Death] = (), **params: Any) -> list[Order]:
        """Accept so many jobs of `each` payments, in one transaction; the first ones meet `deaths`."""
        keys = [tuple(next(self._keys) for _ in range(each)) for _ in range(jobs)]
        target = self.chain.target.hex()
        wanted = [{"keys": list(group), "target": target} | params for group in keys]
        orders = self._accept(TRANSFER, wanted, keys, deaths)
        self.orders += orders
        return orders

    def watch(self, deaths: Sequence[Death]) -> list[Order]:
        """Ticks of the watcher beside those of beat, each with its death."""
        return self._accept(WATCH, [{}] * len(deaths), [()] * len(deaths), deaths)

    def _accept(
        self, kind: JobKind, params: Sequence[Any], keys: Sequence[tuple[int, ...]], deaths: Sequence[Death]
    ) -> list[Order]:
        with Session(self.engine) as session:
            jobs = [NewJob(kind=kind, params=one, principal="user:test") for one in params]
            ids = [job_id for job_id in enqueue_all(session, jobs) if isinstance(job_id, UUID)]
            meets = [*deaths, *[None] * (len(jobs) - len(deaths))]
            expires = [job.params.get("expires_in_seconds") is not None for job in jobs]
            orders = [Order(*one) for one in zip(ids, keys, meets, expires, strict=True)]
            for order in orders:
                if order.death is not None:
                    self.ground.deaths.order(str(order.job_id), [order.death])
            session.commit()
        return orders

    # Waiting.

    def tend(self) -> None:
        """A block when it is time, and whoever was stopped past its lease goes on."""
        now = time.monotonic()
        if self.mines and now - self._mined_at >= BLOCK_SECONDS:
            self._mined_at = now
            self.chain.mine()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._resume_the_stopped(now)

    def wait_for(self, condition: Callable[[], bool], seconds: float) -> bool:
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

    def is_quiet(self, orders: Sequence[Order]) -> bool:
        """Whether every order has ended, and no transaction is under way."""
        jobs = "SELECT FROM jobs WHERE id = ANY(:ids) AND finished_at IS NULL LIMIT 1"
        live = "SELECT FROM chain_intents WHERE finished_at IS NULL LIMIT 1"
        return not self.ground.sql(jobs, ids=_ids(orders)) and not self.ground.sql(live)

    def any_broadcast(self) -> bool:
        """Whether a transaction is out, and not seen in a block yet."""
        return bool(self.ground.sql("SELECT FROM chain_intents WHERE status = 'broadcast' LIMIT 1"))

    def any_sent_again(self) -> bool:
        """Whether bytes that wait in the pool were sent a second time."""
        again = "SELECT FROM chain_attempts a JOIN chain_intents i ON i.id = a.intent_id WHERE i.status = 'broadcast'"
        return bool(self.ground.sql(again + " AND a.last_broadcast_at > a.first_broadcast_at LIMIT 1"))

    def struck_at(self, order: Order) -> float | None:
        """When the order's death came, in seconds since 1970; None while it has not."""
        return self.ground.deaths.struck_at(str(order.job_id))

    def last_end(self, orders: Sequence[Order]) -> float:
        """When the last of the orders ended, in seconds since 1970; now, while one has not."""
        last = "SELECT extract(epoch FROM max(coalesce(finished_at, clock_timestamp()))) FROM jobs WHERE id = ANY(:ids)"
        return float(self.ground.sql(last, ids=_ids(orders))[0][0])

    def unfinished(self, orders: Sequence[Order]) -> list[str]:
        """The orders whose job did not succeed."""
        found = self.ground.sql(
            "SELECT id, status FROM jobs WHERE id = ANY(:ids) AND status <> 'succeeded'", ids=_ids(orders)
        )
        return [f"job {row.id} is {row.status}" for row in found]

    # Striking.

    def kill(self, *names: str) -> None:
        """SIGKILL to these roles, children and all; they are born again at once."""
        for name in names:
            self.ground.strike(name)

    def kill_child(self, rng: Random) -> None:
        """SIGKILL to one child of a worker, whatever it is doing."""
        worker = self.ground.born(rng.choice(WORKERS))
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            rng.choice(worker.children() if worker else []).kill()

    def flush(self) -> None:
        """The broker forgets everything."""
        with Redis.from_url(self.ground.broker.url) as client:
            client.flushall()

    def stand_still(self) -> None:
        """No block, until what waits in the pool was sent a second time."""
        self.mines = False
        self.wait_for(self.any_sent_again, STILL_SECONDS)
        self.mines = True

    def crash_postgres(self) -> None:
        """SIGKILL to Postgres with everything under it, and a start on what it had written."""
        self.ground.postgres.process.kill()
        self.ground.postgres.start()

    def _resume_the_stopped(self, now: float) -> None:
        for name in WORKERS:
            for process in self._family(name):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if process.status() != psutil.STATUS_STOPPED:
                        self._stopped_since.pop(process.pid, None)
                    elif now - self._stopped_since.setdefault(process.pid, now) > FROZEN_SECONDS:
                        process.resume()

    def _family(self, name: str) -> list[psutil.Process]:
        worker = self.ground.born(name)
        with contextlib.suppress(psutil.NoSuchProcess):
            return worker.children() if worker else []
        return []


@contextlib.contextmanager
def open_bank(ground: Ground) -> Iterator[Bank]:
    """A bank on `ground`, whose cast it changes, with a chain of its own."""
    ground.disarm()
    ground.clear()
    ground.sql(f"TRUNCATE {TABLES} CASCADE")
    folder = ground.folder / "chain"
    folder.mkdir(exist_ok=True)
    chain = Chain(install_anvil(ROOT / ".run" / "node"), folder)
    try:
        engine = create_engine(ground.postgres.url(), poolclass=NullPool)
        _seed(engine)
        ground.stage(cast(chain.url))
        yield Bank(ground, chain, engine)
    finally:
        chain.stop()


def cast(node_url: str) -> Cast:
    """Who runs: all of them with the chain's settings, short patience, and one signer."""
    chain = {
        "CHAIN__RPC_URLS": f'["{node_url}"]',
        "CHAIN__CONFIRMATIONS": str(CONFIRMATIONS),
        "CHAIN__RPC_TIMEOUT_SECONDS": "2",
        "CHAIN__SIGNER_KEY": OWNER_KEY,
        "CHAIN__RESUME_AFTER_SECONDS": "1.5",
        "CHAIN__REBROADCAST_AFTER_SECONDS": "1.5",
        "CHAIN__REPLACE_AFTER_SECONDS": "3",
        "CHAIN__MAX_SPEND_PER_HOUR_WEI": str(10**20),
        "CONCURRENCY": "3",
    }
    return {"dispatcher": {"JOBS__MAX_CRASHES": "1000"}, "beat": {}} | dict.fromkeys(WORKERS, chain)


def _seed(engine: Engine) -> None:
    settings = Settings(_env_file=None, chain=ChainSettings(watch_seconds=1))
    with Session(engine) as session:
        seed(session, [entry for entry in schedule(settings) if entry.name == "transactions"])
        session.commit()


def _ids(orders: Sequence[Order]) -> list[UUID]:
    return [order.job_id for order in orders]
