"""One node and one deployment for the folder; each test gets the state as it was just after the deployment."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.process import free_port
from contracts.deploy import deploy
from tests.contracts.exchange import Exchange
from tests.contracts.price_client import Client, start


@pytest.fixture(scope="session")
def contract_node(anvil_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedAnvil]:
    """A node that deploys by itself and from then on mines when it is told to."""
    log = tmp_path_factory.mktemp("contracts") / "anvil.log"
    node = EmbeddedAnvil(anvil_binary, free_port(), log, block_seconds=None)
    node.start()
    yield node
    node.stop()


@pytest.fixture(scope="session")
def deployed(contract_node: EmbeddedAnvil) -> Exchange:
    """The exchange with three markets, and three accounts with money."""
    exchange = Exchange(contract_node.url, deploy(contract_node.url))
    exchange.rpc("evm_setAutomine", False)
    for account in (exchange.alice, exchange.bob, exchange.keeper):
        exchange.fund(account)
    return exchange


@pytest.fixture
def exchange(deployed: Exchange) -> Iterator[Exchange]:
    """The deployed exchange; what the test does to it is undone."""
    snapshot = deployed.rpc("evm_snapshot")
    yield deployed
    assert deployed.rpc("evm_revert", snapshot)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Client]:
    """A server of the test's own: orders outlive a request."""
    client = start(tmp_path)
    yield client
    client.session.close()
    client.process.stop()


@pytest.fixture(scope="session")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One server for the tests that change nothing."""
    client = start(tmp_path_factory.mktemp("prices"))
    yield client
    client.session.close()
    client.process.stop()
