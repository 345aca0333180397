"""Several providers of one chain: the highest head wins, and who fails, lags or lies is left for the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.services.providers import pinned
from app.chain.types.indexing import IndexOptions, ProviderLimits
from tests.chain.conftest import CHAIN_ID, Indexer, grow
from tests.chain.emitter import Chain
from tests.fakes import lies
from tests.fakes.node_proxy import Answer, Calls, NodeProxy

pytestmark = pytest.mark.chain


class Two:
    """Two providers in front of one honest node; `first` is the one configured first."""

    def __init__(self, chain: Chain, indexer: Indexer):
        self.chain, self.indexer = chain, indexer
        self.first, self.second = NodeProxy(chain.url), NodeProxy(chain.url)
        self.nodes = [Provider(proxy.url, chain_id=CHAIN_ID, attempts=1) for proxy in (self.first, self.second)]
        indexer.providers = Providers(self.nodes)

    def close(self) -> None:
        for node in self.nodes:
            node.close()
        for proxy in (self.first, self.second):
            proxy.close()

    def tick(self) -> tuple[bool, bool]:
        """A new block with an event, and a call of the indexer; which of the two were asked for logs."""
        self.first.seen.clear()
        self.second.seen.clear()
        self.chain.move(1, 1)
        self.indexer.run()
        return self.asked("eth_getLogs")

    def asked(self, method: str) -> tuple[bool, bool]:
        first, second = (any(method in calls for calls in proxy.seen) for proxy in (self.first, self.second))
        return first, second

    def let_it_be_later(self) -> None:
        """What was to be waited for is over."""
        with self.indexer.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE chain_providers SET retry_at = now() - interval '1 second'")

    def open_alarms(self) -> list[tuple[Any, ...]]:
        return self.indexer.rows("SELECT kind, subject FROM chain_alarms WHERE resolved_at IS NULL ORDER BY kind")


@pytest.fixture
def two(chain: Chain, indexer: Indexer) -> Iterator[Two]:
    both = Two(chain, indexer)
    yield both
    both.close()


def dead(calls: Calls) -> Answer:
    return Answer(500)


def test_among_equals_the_first_configured_is_used(two: Two) -> None:
    assert two.tick() == two.tick() == (True, False)
    assert two.indexer.rows("SELECT * FROM chain_providers") == []


def test_the_highest_head_wins_and_a_little_lag_is_forgiven(two: Two) -> None:
    grow(two.chain, 5)
    two.first.before = lies.lagging(2, two.chain.head)
    assert two.tick() == (False, True)
    assert two.indexer.events() == two.chain.logs()
    assert two.indexer.rows("SELECT * FROM chain_providers") == []
    two.first.before = lambda calls: None
    assert two.tick() == (True, False)


def test_a_provider_that_lags_too_often_is_not_asked_until_it_has_had_time(two: Two) -> None:
    two.indexer.options = IndexOptions(providers=ProviderLimits(max_lag_blocks=3))
    grow(two.chain, 12)
    two.first.before = lies.lagging(8, two.chain.head)
    for _ in range(3):
        two.tick()
    assert two.open_alarms() == [("provider_avoided", two.nodes[0].name)]
    two.tick()
    assert two.first.seen == []
    two.first.before = lambda calls: None
    two.let_it_be_later()
    assert two.tick() == (True, False)
    assert two.open_alarms() == []


def test_a_dead_provider_costs_a_few_ticks_and_a_probe_later_each_time(two: Two) -> None:
    two.first.before = dead
    for _ in range(3):
        assert two.tick() == (False, True)
        assert two.first.seen != []
    two.tick()
    assert two.first.seen == []
    two.let_it_be_later()
    two.tick()
    assert two.first.seen != []  # the probe
    two.tick()
    assert two.first.seen == []  # it failed, and others are preferred for twice as long
    ((openings, seconds),) = two.indexer.rows(
        "SELECT openings, round(extract(epoch FROM retry_at - opened_at)) FROM chain_providers"
    )
    assert (openings, seconds) == (2, 60)
    two.first.before = lambda calls: None
    two.let_it_be_later()
    assert two.tick() == (True, False)
    assert two.open_alarms() == []


def test_logs_left_out_are_put_right_and_the_provider_is_left_for_the_other(two: Two) -> None:
    grow(two.chain, 20)
    two.first.after = lies.answering(lies.without_blocks(range(5, 9)))
    assert two.tick() == (True, False)
    assert two.indexer.events() == two.chain.logs()
    kinds = [kind for kind, _ in two.open_alarms()]
    assert kinds == ["logs_incomplete", "provider_avoided"]
    assert two.tick() == (False, True)
    assert two.indexer.rows("SELECT reason, round(extract(epoch FROM retry_at - opened_at)) FROM chain_providers") == [
        ("it left out logs", 600)
    ]


def wrong_parents(calls: Calls, answer: Any) -> Any:
    for call, item in zip(calls, answer if isinstance(answer, list) else [answer], strict=True):
        if call["method"] == "eth_getBlockByNumber" and call["params"][0] not in ("latest", "finalized"):
            item["result"]["parentHash"] = "0x" + "cd" * 32
    return answer


def test_a_node_that_contradicts_itself_is_left_for_the_other_within_the_call(two: Two) -> None:
    grow(two.chain, 6)
    two.first.after = wrong_parents
    assert two.tick() == (True, True)
    assert two.indexer.events() == two.chain.logs()
    assert ("provider_avoided", two.nodes[0].name) in two.open_alarms()
    assert two.tick() == (False, True)


def test_a_head_that_goes_backwards_is_noticed(two: Two) -> None:
    grow(two.chain, 20)
    two.tick()
    two.first.before = lies.lagging(15, two.chain.head)
    assert two.tick() == (False, True)
    assert two.indexer.rows("SELECT reason FROM chain_providers") == [("its head went backwards",)]
    assert two.open_alarms() == [("provider_avoided", two.nodes[0].name)]


def test_when_all_are_avoided_the_last_word_is_still_theirs(two: Two) -> None:
    grow(two.chain, 20)
    for proxy in (two.first, two.second):
        proxy.after = lies.answering(lies.without_blocks(range(30)))
    for _ in range(3):
        two.tick()
    assert two.indexer.rows("SELECT count(*) FROM chain_providers WHERE retry_at > now()") == [(2,)]
    assert two.indexer.events() == two.chain.logs()


def test_work_without_ranges_prefers_good_standing_too(two: Two) -> None:
    two.first.after = lies.answering(lies.without_blocks(range(30)))
    grow(two.chain, 10)
    two.tick()
    with Session(two.indexer.engine) as session:
        assert pinned(session, two.indexer.providers) is two.nodes[1]
        two.second.before = dead
        assert pinned(session, two.indexer.providers) is two.nodes[0]


def test_what_everybody_fails_is_raised(two: Two) -> None:
    two.first.before = two.second.before = dead
    with pytest.raises(errors.NodeUnreachable):
        two.indexer.run()
    assert two.indexer.rows("SELECT failures, reason FROM chain_providers") == [(1, "chain.node_unreachable")] * 2


def test_faults_in_the_middle_of_ticks_count_too(two: Two) -> None:
    def no_logs(calls: Calls) -> Answer | None:
        return Answer(500) if any(call["method"] == "eth_getLogs" for call in calls) else None

    two.first.before = no_logs
    for _ in range(3):
        with pytest.raises(errors.NodeUnreachable):
            two.tick()
    assert two.tick() == (False, True)
    assert two.indexer.events() == two.chain.logs()


def test_range_sizes_are_learned_a_provider(two: Two) -> None:
    two.first.before = lies.refusing(30, [(-32000, "block range exceeds 30")], gives_up_at=10**6)
    two.chain.mine(150)
    two.tick()
    two.first.before = dead
    two.chain.mine(150)
    two.tick()
    sizes = dict(two.indexer.rows("SELECT provider, ceiling FROM chain_range_sizes"))
    assert sizes == {two.nodes[0].name: 30, two.nodes[1].name: None}
