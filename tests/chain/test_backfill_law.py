"""The law with back-fills in it: plans, chunks and folding anywhere in a walk of reorgs and crashes end the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from app.chain import errors
from tests.chain.conftest import CHAIN_ID, Indexer
from tests.chain.emitter import Chain
from tests.chain.team import InOrder, Team
from tests.chain.walk import Walk
from tests.fakes.node_proxy import NodeProxy

pytestmark = pytest.mark.chain

# What a job of the queue would be tried again for.
PASSING = (errors.NodeFailed, errors.CursorMoved)
ENOUGH_LOOKS = 100
STEPS, QUIET_EVERY = 100, 20


class Backfilled(Walk):
    """A walk in which, beside all else, history is read in chunks."""

    def __init__(self, seed: int, chain: Chain, indexer: Indexer, clean: Indexer, proxy: NodeProxy):
        super().__init__(seed, chain, indexer, clean, proxy)
        self.team = Team(indexer, chunk_blocks=5)
        self.joined = 0
        self.acts += [self.fall_behind, *[self.look] * 4, *[self.read_a_chunk] * 6]

    def fall_behind(self) -> None:
        """The chain goes on without us, and a back-fill is planned."""
        for _ in range(4):
            self.grow()
        self.chain.mine(8)
        self.look()

    def look(self) -> None:
        """The plan's job looks."""
        with suppress(*PASSING):
            result = self.team.look().result
            self.joined += result is not None and result["chunks"] > 0

    def read_a_chunk(self) -> None:
        """A chunk's job runs, as far as its blocks are final."""
        waiting = self.team.waiting()
        if waiting:
            with suppress(*PASSING):
                self.team.read(self.dice.choice(waiting))

    def quiet(self) -> None:
        """Nothing happens any more but the jobs of the queue; then the tables are those of a clean index."""
        self.chain.send(self.transaction())
        for _ in range(ENOUGH_LOOKS):
            self.chain.mine()  # what was cut off below a chunk's end becomes final again
            self.tick()
            self.look()
            if not self.indexer.rows("SELECT * FROM chain_backfills"):
                break
            self.read_a_chunk()
        else:
            raise AssertionError(f"the plan has not ended: {self.team.seen} {self.done}")
        super().quiet()


@pytest.mark.parametrize("seed", [3, 20261121])
def test_any_walk_with_back_fills_ends_equal_to_a_clean_index(
    seed: int, chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy, restless: Callable[[], None]
) -> None:
    restless()
    indexer.projections = {"emitter": [InOrder(CHAIN_ID)]}
    walk = Backfilled(seed, chain, indexer, clean, proxied)
    walk.fall_behind()
    for step in range(1, STEPS + 1):
        walk.step()
        if step % QUIET_EVERY == 0:
            walk.quiet()
    assert walk.joined > 1


@pytest.fixture
def restless(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Folding in small steps, so that a walk gets between two of them."""
    return lambda: monkeypatch.setattr("app.chain.services.backfill_fold.BATCH_EVENTS", 4)
