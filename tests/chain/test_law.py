"""The law: any sequence of reorgs, crashes and repeated reads ends equal to a clean index of the final chain.

A state machine on a real node and a real database: Hypothesis chooses the acts and rolls their dice, and cuts a
sequence that breaks the law down to a short one. At quiet points every table is compared with a clean index. In the
ordinary run the sequences are always the same; WK_LAW_STEPS (`make law`) draws others, so many steps in all.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.chain.conftest import Indexer
from tests.chain.emitter import Chain
from tests.chain.walk import ACTS, Walk
from tests.fakes.node_proxy import NodeProxy

pytestmark = pytest.mark.chain

STEPS = int(os.environ.get("WK_LAW_STEPS", "0"))
STEPS_A_WALK = 100 if STEPS else 50
WALKS = -(-STEPS // STEPS_A_WALK) if STEPS else 2
QUIET_EVERY = 5
TABLES = (
    "chain_events, chain_children, chain_headers, chain_cursors, chain_alarms, chain_providers, chain_range_sizes,"
    " test_moves, test_sums"
)


class Law(RuleBasedStateMachine):
    """A walk whose steps Hypothesis chooses."""

    def __init__(self, begin: Callable[[], Walk]):
        super().__init__()
        self.walk = begin()

    @rule(act=st.sampled_from(ACTS), dice=st.integers(0, 65_535))
    def happens(self, act: str, dice: int) -> None:
        """One thing happens, and now and then nothing more for a while."""
        self.walk.act(act, dice)
        if len(self.walk.done) % QUIET_EVERY == 0:
            self.walk.quiet()

    def teardown(self) -> None:
        """The end is a quiet point, too."""
        self.walk.quiet()


def test_any_walk_ends_equal_to_a_clean_index(
    chain: Chain, indexer: Indexer, clean: Indexer, proxied: NodeProxy
) -> None:
    def begin() -> Walk:
        chain.begin_anew()
        with indexer.engine.begin() as connection:
            connection.exec_driver_sql(f"TRUNCATE {TABLES}")
        return Walk(0, chain, indexer, clean, proxied)

    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        lambda: Law(begin),
        settings=settings(
            max_examples=WALKS + 1,  # the first is the dullest there is: the same act with the same dice
            stateful_step_count=STEPS_A_WALK,
            derandomize=not STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
