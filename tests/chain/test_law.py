"""The law: any sequence of reorgs, crashes and repeated reads ends equal to a clean index of the final chain.

Long random walks on a real node and a real database; at quiet points every table is compared with a clean index. The
seed is fixed, so a failure can be walked again: WK_LAW_STEPS walks further, WK_LAW_SEED elsewhere (`make law`).
"""

from __future__ import annotations

import os

import pytest

from tests.chain.conftest import Indexer
from tests.chain.emitter import Chain
from tests.chain.walk import Walk
from tests.fakes.node_proxy import NodeProxy

pytestmark = pytest.mark.chain

STEPS = int(os.environ.get("WK_LAW_STEPS", "50"))
SEEDS = [int(seed) for seed in os.environ.get("WK_LAW_SEED", "7 20261121").split()]
QUIET_EVERY = 5


@pytest.mark.parametrize("seed", SEEDS)
def test_any_walk_ends_equal_to_a_clean_index(
    seed: int, chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy
) -> None:
    walk = Walk(seed, chain, indexer, clean, proxied)
    for step in range(1, STEPS + 1):
        walk.step()
        if step % QUIET_EVERY == 0:
            walk.quiet()
