"""Chainlink's feeds on a real node: one batch, phases behind the proxy, answers that are none, the sequencer's feed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chain.adapters.rpc import Provider
from app.chain.services.rehearsal import read_all
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.oracle.adapters.chainlink import Chainlink, ReadAll
from app.oracle.errors import SourceAnswerInvalid
from app.oracle.maths.rounds import PHASE_BITS, read_round, read_uptime, round_flaw, round_reading
from app.oracle.types.sources import ChainlinkFeed, Flaw, Reading, Round
from tests.fakes.node_proxy import Answer, NodeProxy
from tests.oracle.chainlink_feeds import Feeds, address

CHAIN_ID = 31339
NOW = datetime(2027, 1, 15, 8, tzinfo=UTC)
AT = int(NOW.timestamp())
GOOD = Round(round_id=1 << PHASE_BITS | 7, answer=301_244_000_000, started_at=AT, updated_at=AT, decimals=8, phase=1)


@pytest.fixture
def feeds(anvil: EmbeddedAnvil) -> Iterator[Feeds]:
    made = Feeds(anvil.url)
    yield made
    made.ground.close()


@pytest.fixture
def node(anvil: EmbeddedAnvil) -> Iterator[NodeProxy]:
    proxy = NodeProxy(anvil.url)
    yield proxy
    proxy.close()


@pytest.fixture
def read(node: NodeProxy) -> Iterator[ReadAll]:
    provider = Provider(node.url, chain_id=CHAIN_ID, attempts=1)
    yield partial(read_all, provider)
    provider.close()


def feed(symbol: str, at: bytes) -> ChainlinkFeed:
    return ChainlinkFeed(symbol, at, 3600)


def only(chainlink: Chainlink, read: ReadAll) -> Reading:
    (reading,) = chainlink.ask(read, NOW).readings
    return reading


@pytest.mark.chain
def test_every_feed_is_asked_in_one_request(feeds: Feeds, node: NodeProxy, read: ReadAll) -> None:
    behind = feeds.proxy(feeds.aggregator(6_140_993_501_000))
    bare = feeds.aggregator(301_244 * 10**16, decimals=18)
    asked_at = feeds.block_time()
    found = Chainlink([feed("BTC/USD", address(behind)), feed("ETH/USD", address(bare))]).ask(read, NOW)
    assert [(one.symbol, one.price, one.confidence, one.flaw) for one in found.readings] == [
        ("BTC/USD", Decimal("61409.93501000"), 0, None),
        ("ETH/USD", Decimal("3012.440000000000000000"), 0, None),
    ]
    assert [one.round_id for one in found.readings] == [1 << PHASE_BITS | 1, 1]
    observed = found.readings[1].observed_at
    assert observed is not None
    assert observed <= datetime.fromtimestamp(asked_at, UTC)
    assert [calls for calls in node.seen if calls != ["eth_chainId"]] == [["eth_call"] * 6]


@pytest.mark.chain
def test_a_new_aggregator_is_a_new_phase_with_its_own_rounds_and_decimals(feeds: Feeds, read: ReadAll) -> None:
    old = feeds.aggregator(3_000 * 10**8)
    feeds.answer(old, 900, 3_010 * 10**8, feeds.block_time(), feeds.block_time())
    proxy = feeds.proxy(old)
    chainlink = Chainlink([feed("ETH/USD", address(proxy))])
    before = only(chainlink, read)
    feeds.replace(proxy, feeds.aggregator(3_020 * 10**18, decimals=18))
    after = only(chainlink, read)
    assert (before.price, after.price) == (3_010, 3_020)
    assert (before.round_id, after.round_id) == (1 << PHASE_BITS | 900, 2 << PHASE_BITS | 1)


@pytest.mark.chain
@pytest.mark.parametrize("answer", [0, -1, -(2**255)])
def test_an_answer_that_is_not_positive_is_no_price(feeds: Feeds, read: ReadAll, answer: int) -> None:
    aggregator = feeds.aggregator(1)
    feeds.answer(aggregator, 5, answer, feeds.block_time(), feeds.block_time())
    found = only(Chainlink([feed("ETH/USD", address(aggregator))]), read)
    assert (found.price, found.flaw) == (None, Flaw.NOT_POSITIVE)


@pytest.mark.chain
def test_one_bad_feed_takes_no_other_down(feeds: Feeds, read: ReadAll) -> None:
    good = feeds.aggregator(7 * 10**8)
    unfinished = feeds.aggregator(7 * 10**8)
    feeds.answer(unfinished, 2, 7 * 10**8, 0, 0)
    nothing_behind = feeds.proxy(feeds.aggregator(1))
    feeds.replace(nothing_behind, nothing_behind)  # a proxy of itself recurses until the gas is gone
    asked = {
        "GOOD": address(good),
        "NO CODE": b"\x77" * 20,
        "OPEN": address(unfinished),
        "DEAD": address(nothing_behind),
    }
    found = Chainlink([feed(symbol, at) for symbol, at in asked.items()]).ask(read, NOW)
    flaws = {reading.symbol: reading.flaw for reading in found.readings}
    assert flaws.pop("DEAD") in (Flaw.REVERTED, Flaw.UNAVAILABLE)  # as the node words it
    assert flaws == {"GOOD": None, "NO CODE": Flaw.ANSWER_INVALID, "OPEN": Flaw.ROUND_INCOMPLETE}


@pytest.mark.chain
def test_the_sequencer_is_asked_in_the_same_batch(feeds: Feeds, node: NodeProxy, read: ReadAll) -> None:
    uptime = feeds.aggregator(0, decimals=0)
    since = feeds.block_time() - 500
    feeds.answer(uptime, 2, 0, since, since)
    chainlink = Chainlink([feed("ETH/USD", address(feeds.aggregator(1)))], address(uptime))
    found = chainlink.ask(read, NOW).uptime
    assert found is not None
    assert (found.up, found.since, found.asked_at) == (True, datetime.fromtimestamp(since, UTC), NOW)
    feeds.answer(uptime, 3, 1, since + 100, since + 100)
    down = chainlink.ask(read, NOW).uptime
    assert down is not None
    assert (down.up, down.since) == (False, datetime.fromtimestamp(since + 100, UTC))
    assert [len(calls) for calls in node.seen if calls != ["eth_chainId"]] == [4, 4]


@pytest.mark.chain
def test_a_node_that_fails_makes_every_feed_unavailable_and_comes_back(
    feeds: Feeds, node: NodeProxy, read: ReadAll
) -> None:
    at = address(feeds.aggregator(5))
    chainlink = Chainlink([feed("ETH/USD", at)], at)
    node.before = lambda calls: Answer(status=503)
    broken = chainlink.ask(read, NOW)
    assert [reading.flaw for reading in broken.readings] == [Flaw.UNAVAILABLE]
    assert broken.uptime is None
    node.before = lambda calls: None
    assert only(chainlink, read).flaw is None


def test_without_feeds_nobody_is_asked() -> None:
    def never(calls: object) -> list[bytes]:
        raise AssertionError("asked")

    assert Chainlink([]).ask(never, NOW).readings == ()


def test_a_round_of_another_phase_than_the_proxys_is_refused() -> None:
    assert round_flaw(GOOD) is None
    assert round_flaw(replace(GOOD, phase=2)) is Flaw.EARLIER_PHASE
    assert round_flaw(replace(GOOD, phase=None, round_id=7)) is None
    assert round_flaw(replace(GOOD, updated_at=0)) is Flaw.ROUND_INCOMPLETE


@given(answer=st.integers(1, 2**255 - 1), decimals=st.integers(0, 36))
def test_a_price_is_exact(answer: int, decimals: int) -> None:
    price = round_reading("X", replace(GOOD, answer=answer, decimals=decimals)).price
    assert price is not None
    sign, digits, exponent = price.as_tuple()
    assert (sign, int("".join(map(str, digits))), exponent) == (0, answer, -decimals)


def words(*values: int) -> bytes:
    return b"".join(value.to_bytes(32, "big", signed=value < 0) for value in values)


@pytest.mark.parametrize(
    ("latest", "decimals", "phase"),
    [
        (b"", b"", None),
        (words(1, 2, AT, AT), words(8), None),
        (words(1, 2, AT, AT, 1, 1), words(8), None),
        (words(1, 2, AT, AT, 1), words(37), None),
        (words(1, 2, AT, 2**256 - 1, 1), words(8), None),
        (words(1, 2, AT, AT, 1), b"", None),
        (words(1, 2, AT, AT, 1), words(8), b""),
    ],
)
def test_an_answer_of_another_form_is_refused(latest: bytes, decimals: bytes, phase: bytes | None) -> None:
    with pytest.raises(SourceAnswerInvalid):
        read_round(latest, decimals, phase)


@pytest.mark.parametrize(("answer", "started_at"), [(2, AT), (-1, AT), (0, 0)])
def test_an_uptime_feed_that_says_neither_is_refused(answer: int, started_at: int) -> None:
    with pytest.raises(SourceAnswerInvalid):
        read_uptime(words(1, answer, started_at, AT, 1), NOW + timedelta(seconds=1))
