"""A chain with an emitting contract, its contract set, and an indexer on the test's database."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, create_engine, event, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

import tasks.runtime
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.maths.abi import compile_events
from app.chain.services.alarms import record_alarm
from app.chain.services.indexer import index
from app.chain.services.work import Work
from app.chain.types.blocks import ContractSet, Projection, WatchedEvent
from app.chain.types.indexing import IndexOptions, IndexReport
from app.core.db import make_engine
from app.core.errors import Unauthenticated
from app.core.http.principal import Credentials, Principal
from app.factory import create_app
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.embedded_postgres import EmbeddedPostgres
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from config.groups import ChainSettings
from config.settings import Settings
from tasks.runtime import Runtime
from tests.chain.emitter import Chain, compiled
from tests.chain.ledger import TABLES, Ledger
from tests.fakes.node_proxy import NodeProxy

CHAIN_ID = 31339


def contract_set(chain: Chain, **changes: Any) -> ContractSet:
    """The emitter's events as a contract set."""
    address = bytes.fromhex(chain.emitter[2:])
    watched = {
        (address, event.topic): WatchedEvent("emitter", event.name, event.decode, event.check)
        for event in compile_events(compiled()["abi"])
    }
    values: dict[str, Any] = {"name": "emitter", "chain_id": CHAIN_ID, "start_block": 0, "watched": watched}
    return ContractSet(**(values | changes))


@dataclass
class Indexer:
    """The edge, as a command line would be it: sessions, commits, alarms."""

    engine: Engine
    providers: Providers
    contracts: ContractSet
    options: IndexOptions = field(default_factory=IndexOptions)
    projections: dict[str, list[Projection]] = field(default_factory=dict)

    def run(self, *, commit: Callable[[Session], None] = Session.commit, last_block: int | None = None) -> IndexReport:
        """One call of the indexer."""
        with Session(self.engine) as session:
            work = Work(
                session=session,
                contracts=self.contracts,
                commit=lambda: commit(session),
                alarm=partial(record_alarm, self.engine),
                options=self.options,
                projections=self.projections,
            )
            return index(work, self.providers, last_block=last_block)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """What a SELECT gives, bytes as hex."""
        with self.engine.connect() as connection:
            return [tuple(_plain(value) for value in row) for row in connection.execute(text(statement))]

    def events(self) -> list[tuple[Any, ...]]:
        """The stored events in order, as Chain.logs() has them."""
        return self.rows(
            "SELECT block_number, block_hash, log_index, transaction_hash, address, topic0, topic1, topic2, topic3,"
            " data FROM chain_events ORDER BY block_number, log_index"
        )

    def state(self) -> dict[str, list[tuple[Any, ...]]]:
        """Everything that must equal a clean index of the same chain."""
        return {
            "events": self.rows("SELECT * FROM chain_events ORDER BY chain_id, block_number, log_index"),
            "children": self.rows("SELECT * FROM chain_children ORDER BY chain_id, protocol, address"),
            "headers": self.rows("SELECT * FROM chain_headers ORDER BY chain_id, number"),
            "cursors": self.rows("SELECT chain_id, name, start_block, next_block, tip_hash, tip_at FROM chain_cursors"),
            "moves": self.rows("SELECT * FROM test_moves ORDER BY chain_id, block_number, log_index"),
            "sums": self.rows("SELECT * FROM test_sums ORDER BY chain_id, account"),
        }


def _plain(value: Any) -> Any:
    return "0x" + bytes(value).hex() if isinstance(value, memoryview | bytes) else value


@pytest.fixture
def chain(anvil: EmbeddedAnvil) -> Iterator[Chain]:
    """A fresh chain with the emitter on it."""
    hand = Chain(anvil.url)
    yield hand
    hand.close()


@pytest.fixture
def provider(anvil: EmbeddedAnvil) -> Iterator[Provider]:
    """The node, as the application talks to it."""
    node = Provider(anvil.url, chain_id=CHAIN_ID)
    yield node
    node.close()


@pytest.fixture
def indexer(engine: Engine, chain: Chain, provider: Provider) -> Indexer:
    """The emitter's indexer, with the ledger as its projection."""
    return make_indexer(engine, chain, provider)


@pytest.fixture
def clean(postgres: EmbeddedPostgres, chain: Chain, provider: Provider) -> Iterator[Indexer]:
    """A second indexer, on a database of its own: what a clean index of the same chain is."""
    admin = create_engine(postgres.url(), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        connection.execute(text("CREATE DATABASE clean_index TEMPLATE template_wk"))
    engine = make_engine(postgres.url("clean_index"))
    yield make_indexer(engine, chain, provider)
    engine.dispose()
    with admin.connect() as connection:
        connection.execute(text("DROP DATABASE clean_index WITH (FORCE)"))


def make_indexer(engine: Engine, chain: Chain, provider: Provider) -> Indexer:
    """An indexer with the ledger's tables made."""
    with engine.begin() as connection:
        connection.exec_driver_sql(TABLES)
    ledger = Ledger(CHAIN_ID)
    return Indexer(engine, Providers([provider]), contract_set(chain), projections={"emitter": [ledger]})


def reindexed(clean: Indexer) -> dict[str, list[tuple[Any, ...]]]:
    """The state of a clean index, made anew."""
    with clean.engine.begin() as connection:
        connection.exec_driver_sql(
            "TRUNCATE chain_events, chain_children, chain_headers, chain_cursors, chain_alarms, test_moves, test_sums"
        )
    clean.run()
    return clean.state()


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


@pytest.fixture
def proxied(chain: Chain, indexer: Indexer) -> Iterator[NodeProxy]:
    """A proxy between the indexer and the node."""
    proxy = NodeProxy(chain.url)
    node = Provider(proxy.url, chain_id=CHAIN_ID)
    indexer.providers = Providers([node])
    yield proxy
    node.close()
    proxy.close()


@pytest.fixture
def second(chain: Chain, indexer: Indexer, provider: Provider) -> Iterator[NodeProxy]:
    """A second provider, configured after the node itself."""
    proxy = NodeProxy(chain.url)
    node = Provider(proxy.url, chain_id=CHAIN_ID, attempts=1)
    indexer.providers = Providers([provider, node])
    yield proxy
    node.close()
    proxy.close()


def indexed(chain: Chain, indexer: Indexer) -> None:
    """A chain with events in its final blocks."""
    grow(chain, 30)
    chain.mine(70)
    indexer.run()


def once(proxy: NodeProxy, method: str, act: Any) -> None:
    """Do `act` before the node is asked the first request that has `method` in it."""

    def before(calls: list[dict[str, Any]]) -> None:
        if any(call["method"] == method for call in calls):
            proxy.before = lambda calls: None
            act()

    proxy.before = before


@contextmanager
def before_statement(engine: Engine, words: str, act: Callable[[], None], *, passing: int = 0) -> Iterator[None]:
    """Do `act`, once, before a statement with these words goes out; `passing` others are let through first."""
    left = passing + 1

    def before(connection: object, cursor: object, statement: str, *_: object) -> None:
        nonlocal left
        if words in statement:
            left -= 1
            if left == 0:
                act()

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield
    finally:
        event.remove(engine, "before_cursor_execute", before)


SCOPES = frozenset({"chain:read", "chain:write", "jobs:read", "jobs:write"})
WHO = {
    "alice": Principal(id="user:alice", scopes=SCOPES, method="session"),
    "reader": Principal(id="user:reader", scopes=frozenset({"jobs:read", "jobs:write"}), method="session"),
}
PROTOCOL = """
chain_id = "${chain_id}"
[contracts.emitter]
address = "${emitter.address}"
abi = "emitter.json"
"""


def authenticate(credentials: Credentials) -> Principal:
    """The token is the caller's name."""
    if credentials.bearer not in WHO:
        raise Unauthenticated()
    return WHO[credentials.bearer]


@pytest.fixture
def deployment(
    chain: Chain, anvil: EmbeddedAnvil, database_url: str, broker: EmbeddedValkey, cache: EmbeddedValkey, tmp_path: Path
) -> Settings:
    """A deployment with one protocol."""
    (tmp_path / "emitter.toml").write_text(PROTOCOL)
    (tmp_path / "emitter.json").write_text(json.dumps(compiled()["abi"]))
    (tmp_path / "deployment.json").write_text(json.dumps({"chain_id": 31339, "emitter": {"address": chain.emitter}}))
    return Settings(
        _env_file=None,
        database_url=database_url,
        broker_url=broker.url,
        cache_url=cache.url,
        metrics_token="scrape",
        chain=ChainSettings(
            rpc_urls=(anvil.url,),
            max_range_blocks=4,
            protocol_files=(str(tmp_path / "emitter.toml"),),
            deployment_file=str(tmp_path / "deployment.json"),
        ),
    )


@pytest.fixture
def client(deployment: Settings) -> Iterator[FlaskClient]:
    """The API."""
    app: Flask = create_app(deployment, authenticate=authenticate)
    yield app.test_client()
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture
def worker(deployment: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """This process as a worker of the deployment."""
    runtime = Runtime(deployment)
    monkeypatch.setitem(tasks.runtime._runtimes, os.getpid(), runtime)
    yield runtime
    runtime.chain.providers.close()
    runtime.engine.dispose()


@pytest.fixture
def ask(client: FlaskClient) -> Callable[..., Any]:
    """A request; its answer."""

    def _ask(method: str, path: str, who: str = "alice", **options: Any) -> Any:
        return client.open(path, method=method, headers={"Authorization": f"Bearer {who}"}, **options)

    return _ask


@pytest.fixture
def submit(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Submit a job."""

    def _submit(kind: str, who: str = "alice", **params: Any) -> Any:
        return ask("POST", "/v1/jobs", who, json={"kind": kind, "params": params})

    return _submit
