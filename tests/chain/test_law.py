"""The law: any sequence of reorgs, crashes and repeated reads ends equal to a clean index of the final chain.

Long random walks on a real node and a real database; at quiet points every table is compared with a clean index. The
seed is fixed, so a failure can be walked again; `make faults` walks further with WK_LAW_STEPS.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.types.indexing import IndexOptions, RangeLimits
from tests.chain.conftest import Indexer, reindexed
from tests.chain.emitter import Chain
from tests.fakes.node_proxy import NodeProxy

pytestmark = pytest.mark.chain

STEPS = int(os.environ.get("WK_LAW_STEPS", "40"))
QUIET_EVERY = 5


class Crash(Exception):
    """A worker dies here."""


class Walk:
    """What may happen to a chain and to its indexer, and the dice that choose."""

    def __init__(self, seed: int, chain: Chain, indexer: Indexer, clean: Indexer, proxy: NodeProxy):
        self.dice = random.Random(seed)  # noqa: S311 - a walk, not a secret
        self.chain, self.indexer, self.clean, self.proxy = chain, indexer, clean, proxy
        self.done: list[str] = []
        self.acts: list[Callable[[], None]] = [
            self.grow,
            self.grow,
            self.reorg,
            self.reorg,
            self.reorg_deeply,
            self.shorten,
            self.replace_by_fewer,
            self.tick,
            self.tick,
            self.tick_in_small_steps,
            self.crash_before_a_commit,
            self.crash_after_a_commit,
            self.lose_the_connection,
            self.reorg_while_reading,
        ]

    def step(self) -> None:
        """One thing happens."""
        act = self.dice.choice(self.acts)
        self.done.append(act.__name__)
        act()

    def quiet(self) -> None:
        """Nothing happens any more: one call must be enough, however long the chain."""
        self.chain.send(self.transaction())  # a chain cut below finality shows itself by its next block
        self.indexer.options = IndexOptions()
        self.indexer.run()
        found, wanted = self.indexer.state(), reindexed(self.clean)
        # A chain that was cut after its oldest headers were dropped does not get them back; those kept are the chain's.
        kept, all_kept = found.pop("headers"), wanted.pop("headers")
        assert kept[0] == all_kept[0], self.done
        assert kept[1:] == all_kept[len(all_kept) - len(kept) + 1 :], self.done
        assert found == wanted, self.done
        assert self.indexer.events() == self.chain.logs(), self.done

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

    def reorg_deeply(self) -> None:
        """Far below what was final."""
        self.chain.mine(self.dice.randrange(100))
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

    def tick(self, commit: Callable[[Session], None] = Session.commit) -> None:
        """The indexer looks; a chain cut below finality may make it refuse the node for now."""
        with suppress(errors.NodeBehind):
            self.indexer.run(commit=commit)

    def tick_in_small_steps(self) -> None:
        """The indexer looks, and stops somewhere on its way."""
        size = self.dice.randrange(1, 5)
        self.indexer.options = IndexOptions(limits=RangeLimits(max_blocks=size), max_steps=self.dice.randrange(1, 4))
        self.tick()
        self.indexer.options = IndexOptions()

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

    def crashing(self, commit: Callable[[Session], None]) -> None:
        self.indexer.options = IndexOptions(limits=RangeLimits(max_blocks=3))
        with suppress(Crash):
            self.tick(commit)
        self.indexer.options = IndexOptions()

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
                self.dice.choice([self.reorg, self.shorten, self.replace_by_fewer])()

        self.grow()
        self.proxy.before = before
        self.tick()
        self.proxy.before = lambda calls: None


@pytest.mark.parametrize("seed", [7, 20261121])
def test_any_walk_ends_equal_to_a_clean_index(
    seed: int, chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy
) -> None:
    walk = Walk(seed, chain, indexer, clean, proxied)
    for step in range(1, STEPS + 1):
        walk.step()
        if step % QUIET_EVERY == 0:
            walk.quiet()
