"""A storm: several workers on one signer, behind a node that drops, delays, repeats, forgets and errs, on a chain that
reorganises itself; workers die at random commits and failpoints, and some by SIGKILL in a process of their own."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from threading import Lock
from typing import TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain.adapters.rpc import Provider
from app.chain.errors import NodeFailed
from app.core import failpoints
from tests.chain_sender import proxy
from tests.chain_sender.desk import CHAIN_ID, Crash, Desk, crash_at
from tests.chain_sender.victim import killed

T = TypeVar("T")
WORKERS = 4
PLANNED_A_ROUND = 5
ROUNDS_A_KILL = 12
PATIENCE_SECONDS = 1.0
# What a request through the bad node meets, in percent.
FAULTS = {
    proxy.HONEST: 66,
    proxy.UNREACHABLE: 7,
    proxy.SILENT: 7,
    proxy.TWICE: 7,
    proxy.LATE: 5,
    proxy.TOO_LATE: 1,
    proxy.ERROR: 3,
    proxy.BAD_GATEWAY: 2,
    proxy.FORGETS: 2,
}
PLACES = [name for name in failpoints.POINTS if name.startswith("sender.")]
CRASH = "crash"


def _deadly(dice: random.Random) -> Callable[[Session], None]:
    """A commit that kills in one of three turns."""
    return crash_at(dice.randint(1, 6), before=dice.random() < 0.5) if dice.random() < 0.34 else Session.commit


def crash() -> None:
    """The action of a failpoint that kills the worker which passes by, and not the whole test."""
    raise Crash


@dataclass
class Storm:
    """Plans and sends `size` intents while it blows; `dice` draws everything but which thread comes first."""

    desk: Desk
    node_url: str
    size: int
    seed: int
    ids: list[UUID] = field(default_factory=list)
    died: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)  # noqa: S311 - a storm to be repeated, not a secret
        self._lock = Lock()

    def blow(self) -> None:
        """Until everything is planned; what is live then is left to `calm`."""
        self.desk.mine(self.desk.policy.confirmations + 1)
        bad = proxy.BadNode(self.node_url, self._fault, patience_seconds=PATIENCE_SECONDS)
        with bad, ThreadPoolExecutor(WORKERS) as pool:
            rpc = Provider(bad.url, chain_id=CHAIN_ID, timeout_seconds=PATIENCE_SECONDS, attempts=1)
            number = 0
            while len(self.ids) < self.size:
                number += 1
                self._round(rpc, pool, kill=number % ROUNDS_A_KILL == 1)
            rpc.close()
        self.struck = bad.struck

    def calm(self) -> None:
        """An honest node and cheap blocks, until nothing is live."""
        for _ in range(200):
            self.desk.base_fee(1)
            report = self._or_dead("watcher", partial(self.desk.watch, after_seconds=60))
            if report is not None and report.live == 0:
                return
            self.desk.mine(self.desk.policy.confirmations)

    def _round(self, rpc: Provider, pool: ThreadPoolExecutor, *, kill: bool) -> None:
        failpoints.arm(
            name=self.dice.choice(PLACES), hit=self.dice.randint(1, 2 * WORKERS), action=CRASH, once_file=None
        )
        fresh = [self._planned(len(self.ids) + place) for place in range(min(PLANNED_A_ROUND, self._left))]
        self.ids += fresh
        if kill:
            killed(self.desk, fresh[0], self.dice.randint(2, 5))
            self.kills += 1
        seeds = [self.dice.random() for _ in range(WORKERS)]
        workers = [pool.submit(self._work, rpc, fresh, seed) for seed in seeds]
        self._change_weather()
        for worker in workers:
            worker.result()
        self._change_weather()
        self.desk.now += timedelta(seconds=self.dice.choice([1, 5, 20, 50]))

    @property
    def _left(self) -> int:
        return self.size - len(self.ids)

    def _planned(self, key: int) -> UUID:
        """Whoever wants a transaction and dies before it is written, wants it again."""
        while True:
            try:
                return self.desk.plan(key)
            except Crash:
                self._dead("planner")

    def _work(self, rpc: Provider, fresh: list[UUID], seed: float) -> None:
        """A worker's turn: it advances some of what is new, which others may advance as well, and watches; or dies."""
        dice = random.Random(seed)  # noqa: S311
        desk = self.desk.through(rpc)
        mine = dice.sample(fresh, dice.randint(1, len(fresh)))
        with suppress(NodeFailed):
            self._or_dead("sender", lambda: desk.advance(*mine, commit=_deadly(dice)))
        with suppress(NodeFailed):
            self._or_dead("watcher", lambda: desk.watch(commit=_deadly(dice)))

    def _or_dead(self, who: str, act: Callable[[], T]) -> T | None:
        """What the act gives; None when it dies on its way, which it may do at a failpoint armed a round ago."""
        try:
            return act()
        except Crash:
            self._dead(who)
            return None

    def _dead(self, who: str) -> None:
        with self._lock:
            self.died[who] += 1

    def _fault(self, _calls: object) -> str:
        with self._lock:
            return self.dice.choices(list(FAULTS), list(FAULTS.values()))[0]

    def _change_weather(self) -> None:
        """What a chain may do between two looks at it; reorgs stay above finality."""
        match self.dice.randrange(10):
            case 0:
                self.desk.forget()
            case 1:
                self.desk.base_fee(self.dice.randint(1, 40))
            case 2 | 3 | 4:
                self.desk.reorg(self.dice.randint(1, self.desk.policy.confirmations))
                if self.dice.random() < 0.5:
                    self.desk.forget()  # what stood in the old blocks, which the node has put back
            case _:
                self.desk.mine()
