"""What reorg tests do to a chain, and what must hold after it."""

from __future__ import annotations

import pytest

from tests.chain.conftest import Indexer, reindexed
from tests.chain.emitter import Chain

pytestmark = pytest.mark.chain


def grow(chain: Chain, blocks: int) -> None:
    """Blocks with events in most of them."""
    for block in range(blocks):
        chain.move(block % 4, block + 1, times=block % 3)


def replaced(chain: Chain, depth: int) -> list[tuple[dict[str, str], int]]:
    """Other transactions for the new blocks of a reorg."""
    return [(chain.moved(place % 4, -1000 - place, times=2), place) for place in range(0, depth, 2)]


def assert_clean(indexer: Indexer, clean: Indexer, chain: Chain) -> None:
    """The tables are those of a clean index, and a clean index is the chain."""
    assert indexer.state() == reindexed(clean)
    assert indexer.events() == chain.logs()
