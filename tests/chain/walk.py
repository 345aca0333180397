"""A random walk of a chain and of its indexer: what may happen to them, one act after the other."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.adapters.providers import Providers
from app.chain.services.alarms import record_alarm
from app.chain.services.backfill import backfill
from app.chain.services.work import Work
from app.chain.types.indexing import IndexOptions, IndexReport, RangeLimits
from tests.chain.conftest import Indexer, before_statement, reindexed
from tests.chain.emitter import Chain
from tests.fakes.node_proxy import NodeProxy

# A longer chain than this is not made longer on purpose: each quiet point indexes all of it anew.
ENOUGH_BLOCKS = 1_500
WRITING, UNDOING = "pg_advisory_xact_lock", "DELETE FROM chain_events"

ACTS = (
    "grow",
    "grow",
    "reorg",
    "reorg",
    "reorg_deeply",
    "shorten",
    "replace_by_fewer",
    "tick",
    "tick",
    "tick_in_small_steps",
    "crash_before_a_commit",
    "crash_after_a_commit",
    "crash_at_a_statement",
    "lose_the_connection",
    "reorg_while_reading",
    "reorg_between_reading_and_writing",
    "reorg_while_undoing",
    "reorg_while_stopped",
    "reorg_while_filling_back",
    "crash_while_filling_back",
)


class Crash(Exception):
    """A worker dies here."""


class Walk:
    """What may happen to a chain and to its indexer, and the dice that choose."""

    def __init__(self, seed: int, chain: Chain, indexer: Indexer, clean: Indexer, proxy: NodeProxy):
        self.dice = random.Random(seed)  # noqa: S311 - a walk, not a secret
        self.chain, self.indexer, self.clean, self.proxy = chain, indexer, clean, proxy
        self.done: list[str] = []
        self.ranges: set[tuple[int, int]] = set()
        """Back-fills that have not ended."""
        self.changes: list[Callable[[], None]] = [self.reorg, self.shorten, self.replace_by_fewer]
        self.acts: list[Callable[[], None]] = [getattr(self, name) for name in ACTS]

    def step(self) -> None:
        """One thing happens."""
        act = self.dice.choice(self.acts)
        self.done.append(act.__name__)
        act()

    def act(self, name: str, dice: int) -> None:
        """This happens, with these dice."""
        self.dice.seed(dice)
        self.done.append(name)
        getattr(self, name)()

    def quiet(self) -> None:
        """Nothing happens any more: one call must be enough, however long the chain, and one for each back-fill."""
        self.chain.send(self.transaction())  # a chain cut below finality shows itself by its next block
        missing = max((last for _, last in self.ranges), default=0) - self.final_block()
        if missing > 0:
            self.chain.mine(missing)
        self.indexer.options = IndexOptions()
        self.indexer.run()
        for first, last in self.ranges:
            assert self.fill_back(first, last).next_block > last, self.done
        self.ranges.clear()
        found, wanted = self.indexer.state(), reindexed(self.clean)
        # A chain that was cut after its oldest headers were dropped does not get them back; those kept are the chain's.
        kept, all_kept = found.pop("headers"), wanted.pop("headers")
        assert kept[0] == all_kept[0], self.done
        assert kept[1:] == all_kept[len(all_kept) - len(kept) + 1 :], self.done
        assert found == wanted, self.done
        assert self.indexer.events() == self.chain.logs(), self.done

    # The chain

    def transaction(self) -> dict[str, str]:
        """Some events."""
        return self.chain.moved(self.dice.randrange(5), self.dice.randrange(-(2**200), 2**200), self.dice.randrange(4))

    def grow(self) -> None:
        """A few blocks, some empty."""
        for _ in range(self.dice.randrange(1, 6)):
            if self.dice.random() < 0.7:
                self.chain.send(self.transaction())
            else:
                self.chain.mine()

    def depth(self, most: int) -> int:
        """How deep: never to the emitter's own block."""
        return min(self.dice.randrange(1, most + 1), self.chain.head() - 1)

    def final_block(self) -> int:
        """What the node calls final."""
        return int(self.chain.ask("eth_getBlockByNumber", "finalized", False)["number"], 16)

    def reorg_deeply(self) -> None:
        """Far below what was final."""
        blocks = self.dice.randrange(100)
        if self.chain.head() < ENOUGH_BLOCKS:
            self.chain.mine(blocks)
        self.reorg(200)

    def reorg(self, most: int = 12) -> None:
        """The last blocks are replaced by as many."""
        depth = self.depth(most)
        if depth > 0:
            self.chain.reorg(depth, *[(self.transaction(), self.dice.randrange(depth)) for _ in range(min(depth, 12))])

    def shorten(self) -> None:
        """The last blocks are gone."""
        depth = self.depth(6)
        if depth > 0:
            self.chain.rollback(depth)

    def replace_by_fewer(self) -> None:
        """The last blocks are replaced by fewer."""
        self.shorten()
        self.chain.send(self.transaction())

    def change(self) -> None:
        """Some reorg or other."""
        self.dice.choice(self.changes)()

    # The indexer

    def tick(self, commit: Callable[[Session], None] = Session.commit) -> None:
        """The indexer looks; a chain cut below finality may make it refuse the node for now."""
        with suppress(errors.NodeBehind):
            self.indexer.run(commit=commit)

    @contextmanager
    def in_steps(self, blocks: int, most: int = 50) -> Iterator[None]:
        """Ranges of so many blocks, at most so many in a call."""
        self.indexer.options = IndexOptions(limits=RangeLimits(max_blocks=blocks), max_steps=most)
        yield
        self.indexer.options = IndexOptions()

    def tick_in_small_steps(self) -> None:
        """The indexer looks, and stops somewhere on its way."""
        with self.in_steps(self.dice.randrange(1, 5), self.dice.randrange(1, 4)):
            self.tick()

    def fill_back(self, first: int, last: int, progress: Callable[[IndexReport], None] = lambda _: None) -> IndexReport:
        """A back-fill, as far as its blocks are final."""
        with Session(self.indexer.engine) as session:
            work = Work(
                session=session,
                contracts=self.indexer.contracts,
                commit=session.commit,
                alarm=partial(record_alarm, self.indexer.engine),
                options=self.indexer.options,
                projections=self.indexer.projections,
            )
            report = backfill(work, self.indexer.providers, first=first, last=last, progress=progress)
            session.commit()
        return report

    # Both at once

    def crash_before_a_commit(self) -> None:
        """The worker dies with a transaction open."""
        left = self.dice.randrange(3)

        def commit(session: Session) -> None:
            nonlocal left
            if left == 0:
                raise Crash
            left -= 1
            session.commit()

        self.crashing(commit)

    def crash_after_a_commit(self) -> None:
        """The worker dies before it learns that its commit went through."""

        def commit(session: Session) -> None:
            session.commit()
            raise Crash

        self.crashing(commit)

    def crashing(self, commit: Callable[[Session], None] = Session.commit) -> None:
        """A tick in which the worker may die."""
        with self.in_steps(3), suppress(Crash):
            self.tick(commit)

    def crash_at_a_statement(self) -> None:
        """The worker dies at any statement: in the middle of writing, or of undoing."""
        self.dice.choice([self.grow, self.change])()
        with before_statement(self.indexer.engine, "", _die, passing=self.dice.randrange(40)):
            self.crashing()

    def lose_the_connection(self) -> None:
        """The database ends the connection between read and write."""

        def commit(session: Session) -> None:
            pid = session.connection().scalar(text("SELECT pg_backend_pid()"))
            with self.indexer.engine.connect() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
            session.commit()

        with suppress(OperationalError):
            self.tick(commit)

    def reorg_while_reading(self) -> None:
        """The chain changes between two of the indexer's requests."""
        place = self.dice.randrange(1, 4)

        def before(calls: list[dict[str, Any]]) -> None:
            nonlocal place
            place -= 1
            if place == 0:
                self.change()

        self.grow()
        self.proxy.before = before
        self.tick()
        self.proxy.before = lambda calls: None

    def reorg_between_reading_and_writing(self) -> None:
        """The chain changes when a range is read, and nothing of it is written."""
        self.grow()
        with before_statement(self.indexer.engine, WRITING, self.change):
            self.tick()

    def reorg_while_undoing(self) -> None:
        """The chain changes again while what a reorg undid is being dropped."""
        self.tick()
        self.change()
        with before_statement(self.indexer.engine, UNDOING, self.change):
            self.tick()

    def reorg_while_stopped(self) -> None:
        """Nobody looks while the chain changes, more than once; a process that remembers nothing goes on."""
        self.indexer.engine.dispose()
        self.indexer.providers.close()
        for _ in range(self.dice.randrange(1, 4)):
            self.dice.choice([self.grow, self.reorg_deeply, *self.changes])()
        self.indexer.providers = Providers(list(self.indexer.providers))
        self.tick()

    def reorg_while_filling_back(self) -> None:
        """Old rows are read again; in the range's middle the chain changes, below it or above."""
        self.filling_back(self.dice.choice([self.reorg_deeply, *self.changes]))

    def crash_while_filling_back(self) -> None:
        """Old rows are read again; in the range's middle the worker dies."""
        self.filling_back(_die)

    def filling_back(self, act: Callable[[], None]) -> None:
        """Lose rows of some final blocks, and read these again in small steps; `act` happens after some of them."""
        last = self.final_block()
        first = max(0, last - self.dice.randrange(40))
        self.ranges.add((first, last))
        with self.indexer.engine.begin() as connection:
            values = {"first": first, "last": last}
            connection.execute(text("DELETE FROM chain_events WHERE block_number BETWEEN :first AND :last"), values)
        place = self.dice.randrange(1, 6)

        def progress(report: IndexReport) -> None:
            nonlocal place
            place -= 1
            if place == 0:
                act()

        with self.in_steps(3, 1), suppress(errors.NodeBehind, Crash):
            self.fill_back(first, last, progress)


def _die() -> None:
    raise Crash
