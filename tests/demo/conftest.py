"""One play for the folder, on a node with a block a second and a price server; each test indexes it anew."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.maths.forks import parse_finality
from app.chain.services.alarms import record_alarm
from app.chain.services.indexer import index
from app.chain.services.work import Work
from app.chain.types.indexing import IndexOptions, RangeLimits
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.process import free_port
from app.perps.services.projection import PerpsProjection
from contracts.demo.database import Database
from tests.contracts.price_client import start
from tests.demo.market import History
from tests.perps.history import CHAIN_ID, our_protocol

OPTIONS = IndexOptions(finality=parse_finality("depth:1"), header_depth=1024, limits=RangeLimits(max_blocks=1000))


@pytest.fixture(scope="session")
def demo_node(anvil_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAnvil]:
    """A node that mines by the wall clock."""
    node = EmbeddedAnvil(anvil_binary, free_port(), tmp_path_factory.mktemp("demo") / "anvil.log", block_seconds=1)
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="session")
def history(demo_node: EmbeddedAnvil, tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """The demo's plan, played to its end."""
    prices = start(tmp_path_factory.mktemp("prices"))
    yield History.played(demo_node.url, prices.url)
    prices.session.close()
    prices.process.stop()


@pytest.fixture
def database(history: History, demo_node: EmbeddedAnvil, engine: Engine, database_url: str) -> Iterator[Database]:
    """A database of the test's own with the play indexed into it."""
    deployment = history.trading.exchange.deployment
    protocol = our_protocol(deployment.perp.address, deployment.pyth.address, start_block=deployment.perp.block_number)
    provider = Provider(demo_node.url, chain_id=CHAIN_ID)
    with Session(engine) as session:
        work = Work(
            session=session,
            contracts=protocol.contract_set,
            commit=session.commit,
            alarm=partial(record_alarm, engine),
            options=OPTIONS,
            projections={protocol.name: [PerpsProjection(protocol)]},
        )
        index(work, Providers([provider]))
    provider.close()
    database = Database(database_url)
    yield database
    database.close()
