"""From many sources to one price, over real sockets and a real node: recorded with its inputs, shown with reasons."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from redis import Redis
from sqlalchemy.orm import Session
from web3.contract import Contract

import tasks.runtime
from app.core.http.principal import Principal
from app.factory import create_app
from app.jobs.services.enqueue import enqueue
from app.jobs.types import NewJob
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.oracle.jobs import AGGREGATE_PRICES
from app.oracle.queries.gauges import GAUGES
from app.oracle.services.aggregate import aggregate_prices, find_aggregate
from app.oracle.services.read import get_quotes
from app.oracle.types.prices import Action, Validity
from app.oracle.types.sources import Aggregate, Flaw, NoPrice
from config.groups import ChainSettings, OracleSettings
from config.oracle import ChainlinkFeedSettings, SequencerSettings, SourcesSettings, TickerSettings
from config.settings import Settings
from tasks.base import process_message
from tasks.oracle import aggregate as aggregate_task
from tasks.runtime import Runtime
from tests.conftest import settings_of
from tests.fakes.exchanges import MAKERS, FakeExchange, said
from tests.fakes.hermes import FakeHermes, SignedPrices, serving
from tests.fakes.node_proxy import Answer, NodeProxy
from tests.oracle.chainlink_feeds import Feeds
from tests.oracle.conftest import Refresh, rows
from tests.oracle.updates import BTC, SEVEN, message

pytestmark = pytest.mark.chain
CHAIN_ID = 31339
MARKETS = {"binance": "BTCUSD", "coinbase": "BTC-USD", "kraken": "XXBTZUSD"}
READER = Principal(id="user:reader", scopes=frozenset({"oracle:read"}), method="session")


@dataclass
class Scene:
    """Every supplier of one symbol, each under the test's hand, at a moment that the test moves on."""

    now: datetime
    exchanges: dict[str, FakeExchange]
    feeds: Feeds
    aggregator: Contract
    uptime: Contract
    node: NodeProxy
    runtime: Runtime
    session: Session

    def trade(self, kind: str, price: float) -> None:
        """A living book of this exchange around the price."""
        name = MARKETS[kind]
        self.exchanges[kind].tickers[name] = MAKERS[kind](name, f"{price - 1:.2f}", f"{price + 1:.2f}", self.now)

    def trade_all(self, price: float) -> None:
        for kind in MARKETS:
            self.trade(kind, price)

    def report(self, price: int, round_id: int = 1) -> None:
        """Chainlink's answer, of now."""
        at = int(self.now.timestamp())
        self.feeds.answer(self.aggregator, round_id, price * 10**8, at, at)

    def sequencer(self, *, up: bool, since: datetime) -> None:
        at = int(since.timestamp())
        self.feeds.answer(self.uptime, 1, 0 if up else 1, at, at)

    def round(self, after: float = 0) -> Aggregate:
        """Time passes, everybody is asked."""
        self.now += timedelta(seconds=after)
        (outcome,) = aggregate_prices(
            self.session,
            sources=self.runtime.oracle.sources,
            read_all=self.runtime.read_all,
            chain_id=CHAIN_ID,
            clock=lambda: self.now,
        )
        self.session.commit()
        assert find_aggregate(self.session, "BTC/USD", self.now) == outcome
        return outcome

    def validity(self) -> dict[Action, Validity]:
        """What Pyth's price of BTC is good for."""
        rules = self.runtime.oracle.rules
        (found,) = get_quotes(self.session, rules=rules, now=self.now, names=["BTC/USD"])
        return dict(found.validity)


@pytest.fixture
def prices() -> SignedPrices:
    at = int(time.time())
    return SignedPrices(SEVEN, [message(BTC, price=60_000 * 10**8, conf=30 * 10**8, publish_time=at)])


@pytest.fixture
def scene(
    anvil: EmbeddedAnvil,
    database_url: str,
    cache: EmbeddedValkey,
    broker: EmbeddedValkey,
    hermes: FakeHermes,
    session: Session,
    followed: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    with ExitStack() as stack:
        feeds = Feeds(anvil.url)
        stack.callback(feeds.ground.close)
        aggregator, uptime = feeds.aggregator(60_000 * 10**8), feeds.aggregator(0, decimals=0)
        node = NodeProxy(anvil.url)
        stack.callback(node.close)
        exchanges = {kind: FakeExchange(kind, {}) for kind in MARKETS}
        for server in exchanges.values():
            stack.enter_context(serving(server))
        sources = SourcesSettings(
            chainlink=(
                ChainlinkFeedSettings(
                    symbol="BTC/USD", address=feeds.proxy(aggregator).address, heartbeat_seconds=3600
                ),
            ),
            tickers=tuple(TickerSettings(symbol="BTC/USD", exchange=kind, market=MARKETS[kind]) for kind in MARKETS),
            binance_url=exchanges["binance"].url,
            coinbase_url=exchanges["coinbase"].url,
            kraken_url=exchanges["kraken"].url,
        )
        oracle = OracleSettings(
            hermes_url=hermes.url,
            signers=tuple("0x" + address.hex() for address in SEVEN.addresses),
            sources=sources,
            sequencer=SequencerSettings(feed=uptime.address, grace_seconds=300),
        )
        base = settings_of(database_url, cache, broker, Settings(_env_file=None).http)
        chain = ChainSettings(rpc_urls=(node.url,))  # type: ignore[arg-type]
        runtime = Runtime(base.model_copy(update={"oracle": oracle, "chain": chain}))
        monkeypatch.setitem(tasks.runtime._runtimes, os.getpid(), runtime)
        stack.callback(runtime.engine.dispose)
        stack.callback(runtime.chain.providers.close)
        for exchange, _ in runtime.oracle.sources.exchanges:
            exchange._http._backoff_seconds = 0.0  # type: ignore[attr-defined]
        now = datetime.fromtimestamp(int(time.time()), UTC)
        made = Scene(now, exchanges, feeds, aggregator, uptime, node, runtime, session)
        made.sequencer(up=True, since=now - timedelta(hours=2))
        made.report(60_010)
        made.trade_all(60_020)
        yield made


class _Gauges(CollectorRegistry):
    """The oracle's gauges alone."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def collect(self) -> Iterator[Metric]:
        yield from (gauge.read(self._session) for gauge in GAUGES)


@pytest.fixture
def known(scene: Scene, refresh: Refresh) -> None:
    """Pyth's price is recorded."""
    refresh(["BTC/USD"], now=scene.now)
    scene.session.commit()


@pytest.fixture
def get(scene: Scene, redis: Redis, known: None) -> Iterator[Callable[[str], Any]]:
    app: Flask = create_app(scene.runtime.settings, authenticate=lambda _: READER)
    client = app.test_client()
    yield lambda path: client.get(path, headers={"Authorization": "Bearer reader"})
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


def test_all_sources_become_one_price_that_the_api_explains(scene: Scene, get: Callable[[str], Any]) -> None:
    scene.trade("kraken", 70_000)
    job = enqueue(scene.session, NewJob(kind=AGGREGATE_PRICES, params={}, principal="system"))
    scene.session.commit()
    process_message(scene.runtime, AGGREGATE_PRICES, aggregate_task.work, [UUID(str(job))])
    assert rows(scene.session, "SELECT status, result FROM jobs") == [
        ("succeeded", {"priced": ["BTC/USD"], "without_price": {}})
    ]
    shown = get("/v1/prices/BTC/USD")
    assert shown.status_code == 200
    assert shown.json["quote"]["validity"] == dict.fromkeys(("open", "margin", "liquidate", "funding"), "fresh")
    aggregate = shown.json["aggregate"]
    # weights pyth 2, chainlink 2, binance 1, coinbase 1; in order 60000, 60010, 60020, 60020: half is reached at 60010
    assert (aggregate["price"], aggregate["reason"]) == ("60010.000000000000000000", None)
    by_source = {
        one["source"]: (one["price"].partition(".")[0], one["used"], one["flaw"]) for one in aggregate["sources"]
    }
    assert by_source == {
        "pyth": ("60000", True, None),
        "chainlink": ("60010", True, None),
        "binance": ("60020", True, None),
        "coinbase": ("60020", True, None),
        "kraken": ("70000", False, "outlier"),
    }


def test_the_metrics_tell_of_sources_and_sequencer(scene: Scene) -> None:
    scene.exchanges["kraken"].status = "maintenance"
    scene.round()
    told = generate_latest(_Gauges(scene.session)).decode()
    assert 'watchkeeper_source_flawed{flaw="halted",source="kraken",symbol="BTC/USD"} 1.0' in told
    assert 'watchkeeper_source_age_seconds{source="chainlink",symbol="BTC/USD"}' in told
    assert f'watchkeeper_sequencer_up{{chain_id="{CHAIN_ID}"}} 1.0' in told


def test_a_symbol_without_a_feed_of_pyths_still_has_its_aggregate(scene: Scene, get: Callable[[str], Any]) -> None:
    rows(scene.session, "DELETE FROM oracle_candles RETURNING 1")
    rows(scene.session, "DELETE FROM oracle_prices RETURNING 1")
    rows(scene.session, "DELETE FROM oracle_feeds WHERE symbol = 'BTC/USD' RETURNING 1")
    scene.session.commit()
    outcome = scene.round()
    assert [one.source for one in outcome.sources] == ["chainlink", "binance", "coinbase", "kraken"]
    shown = get("/v1/prices/BTC/USD").json
    assert shown["quote"] is None
    assert shown["aggregate"]["price"] is not None


def test_silent_sources_count_until_their_heartbeat_is_over_and_come_back_by_themselves(scene: Scene) -> None:
    assert scene.round().price_wad is not None
    for server in scene.exchanges.values():
        server.faults.extend([said(503)] * 50)
    within = scene.round(after=45)
    assert {one.flaw for one in within.sources if one.source in MARKETS} == {Flaw.UNAVAILABLE}
    assert all(one.used for one in within.sources if one.source in MARKETS)
    after = scene.round(after=1)
    assert (after.price_wad, after.reason) == (None, NoPrice.TOO_FEW_SOURCES)
    assert {one.flaw for one in after.sources if one.source in MARKETS} == {Flaw.STALE}
    for server in scene.exchanges.values():
        server.faults.clear()
    scene.trade_all(60_030)
    assert scene.round(after=10).price_wad is not None


def test_a_source_that_is_asked_no_more_is_forgotten(scene: Scene) -> None:
    rows(
        scene.session,
        "INSERT INTO oracle_quotes (symbol, source, flaw, asked_at)"
        " VALUES ('BTC/USD', 'mtgox', 'halted', now()) RETURNING 1",
    )
    scene.session.commit()
    scene.round()
    assert [source for (source,) in rows(scene.session, "SELECT source FROM oracle_quotes ORDER BY 1")] == [
        "binance",
        "chainlink",
        "coinbase",
        "kraken",
    ]


def test_a_market_that_halts_is_no_price_at_once(scene: Scene) -> None:
    scene.round()
    scene.exchanges["kraken"].status = "post_only"
    kraken = next(one for one in scene.round(after=5).sources if one.source == "kraken")
    assert (kraken.used, kraken.price_wad, kraken.flaw) == (False, None, Flaw.HALTED)


def test_a_round_that_goes_back_is_a_node_that_lags(scene: Scene) -> None:
    scene.report(60_010, round_id=9)
    scene.round()
    scene.report(1, round_id=8)
    chainlink = next(one for one in scene.round(after=5).sources if one.source == "chainlink")
    assert (chainlink.used, chainlink.price_wad, chainlink.flaw) == (True, 60_010 * 10**18, Flaw.EARLIER_ROUND)


def test_an_answer_of_the_future_is_no_price_and_is_not_remembered(scene: Scene) -> None:
    at = int(scene.now.timestamp()) + 3600
    scene.feeds.answer(scene.aggregator, 2, 1, at, at)
    chainlink = next(one for one in scene.round().sources if one.source == "chainlink")
    assert (chainlink.price_wad, chainlink.flaw) == (None, Flaw.FROM_THE_FUTURE)
    scene.report(60_010, round_id=3)
    assert next(one for one in scene.round(after=5).sources if one.source == "chainlink").used


def test_a_jump_pauses_every_action_until_a_second_round(scene: Scene, known: None) -> None:
    scene.round()
    scene.trade_all(90_000)
    scene.report(90_000, round_id=2)
    jumped = scene.round(after=5)
    assert jumped.reason is NoPrice.JUMP_UNCONFIRMED
    assert set(scene.validity().values()) == {Validity.JUMP_UNCONFIRMED}
    confirmed = scene.round(after=5)
    assert confirmed.price_wad == 90_000 * 10**18
    assert scene.validity() == {
        Action.OPEN: Validity.DEVIATES,
        Action.MARGIN: Validity.DEVIATES,
        Action.LIQUIDATE: Validity.FRESH,  # by the protocol's own feed, which the others only check
        Action.FUNDING: Validity.DEVIATES,
    }


def test_the_sequencer_stops_every_action_and_gives_it_free_by_itself(scene: Scene, known: None) -> None:
    start = scene.now
    scene.round()
    assert set(scene.validity().values()) == {Validity.FRESH}
    scene.sequencer(up=False, since=start)
    scene.round(after=1)
    assert set(scene.validity().values()) == {Validity.SEQUENCER_DOWN}
    scene.sequencer(up=True, since=start - timedelta(seconds=290))  # its grace ends ten seconds after `start`
    scene.round(after=9)
    assert set(scene.validity().values()) == {Validity.SEQUENCER_STARTING}
    scene.now += timedelta(seconds=1)
    assert set(scene.validity().values()) == {Validity.FRESH}


def test_a_node_that_is_down_stops_every_action_and_comes_back(scene: Scene, known: None) -> None:
    scene.round()
    scene.node.before = lambda calls: Answer(status=503)
    blind = scene.round(after=61)
    assert next(one for one in blind.sources if one.source == "chainlink").flaw is Flaw.UNAVAILABLE
    assert set(scene.validity().values()) == {Validity.SEQUENCER_UNKNOWN}
    scene.node.before = lambda calls: None
    scene.round(after=1)
    assert scene.validity()[Action.LIQUIDATE] is Validity.FRESH


def test_what_was_never_learned_is_not_known(scene: Scene, known: None) -> None:
    assert set(scene.validity().values()) == {Validity.SEQUENCER_UNKNOWN}
