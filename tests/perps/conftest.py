"""The exchange on a node of this folder's own; and a whole deployment around it, with a worker."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from pydantic import SecretStr
from sqlalchemy import Engine

import tasks.runtime
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import free_port
from config.groups import ChainSettings, OracleSettings
from config.settings import Settings
from contracts.deploy import Deployment, deploy
from contracts.price_server import PriceServer
from tasks.runtime import Runtime
from tests.contracts.conftest import contract_node, deployed, exchange
from tests.fakes.hermes import serving
from tests.perps.history import PROTOCOL_FILE
from tests.perps.venue import Venue, fund

__all__ = ["contract_node", "deployed", "exchange"]

# The fourth of every development node's accounts.
KEEPER_KEY = "0x7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"


@pytest.fixture
def plain_tracebacks() -> Iterator[None]:
    """Failures that a test wants are logged in a line each: the coloured form takes seconds."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ]
    )
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def venue_node(anvil_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Deployment, Path]]:
    """A node with the exchange and a trader who has money; and the deployment's file."""
    folder = tmp_path_factory.mktemp("venue")
    node = EmbeddedAnvil(anvil_binary, free_port(), folder / "anvil.log", block_seconds=None)
    node.start()
    deployment = deploy(node.url)
    fund(node.url, deployment)
    deployment.write(folder / "deployment.json")
    yield node.url, deployment, folder / "deployment.json"
    node.stop()


@pytest.fixture
def price_server() -> Iterator[PriceServer]:
    """Prices that move only when told to."""
    server = PriceServer(free_port(), seed=1, step_ppm=0)
    with serving(server):
        yield server


@pytest.fixture
def venue_settings(
    venue_node: tuple[str, Deployment, Path],
    price_server: PriceServer,
    database_url: str,
    broker: EmbeddedValkey,
    cache: EmbeddedValkey,
) -> Settings:
    """A deployment that follows the exchange and keeps it."""
    node_url, deployment, file = venue_node
    return Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        broker_url=SecretStr(broker.url),
        cache_url=SecretStr(cache.url),
        chain=ChainSettings(
            rpc_urls=(SecretStr(node_url),),
            finality="depth:1",
            confirmations=1,
            protocol_files=(str(PROTOCOL_FILE),),
            deployment_file=str(file),
            signer_key=SecretStr(KEEPER_KEY),
        ),
        oracle=OracleSettings(
            hermes_url=price_server.url, signers=deployment.guardians, signer_set_index=deployment.guardian_set_index
        ),
    )


@pytest.fixture
def venue(
    venue_settings: Settings,
    venue_node: tuple[str, Deployment, Path],
    price_server: PriceServer,
    engine: Engine,
    plain_tracebacks: None,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Venue]:
    """The deployment, indexed, with prices; what a test does to the chain is undone."""
    node_url, deployment, _ = venue_node
    runtime = Runtime(venue_settings)
    monkeypatch.setitem(tasks.runtime._runtimes, os.getpid(), runtime)
    venue = Venue(node_url, price_server.url, deployment, runtime, engine)
    # The last test's revert put the node's clock back to its snapshot; left so, prices would come to lie in its future.
    venue.rpc("evm_setTime", int(time.time()))
    snapshot = venue.rpc("evm_snapshot")
    venue.index()
    for symbol, price in (("BTC-USD", "60000"), ("ETH-USD", "3000"), ("SOL-USD", "150")):
        venue.price(symbol, price)
    venue.refresh()
    yield venue
    assert venue.rpc("evm_revert", snapshot)
    venue.rpc("evm_setAutomine", True)
    runtime.chain.providers.close()
    runtime.engine.dispose()


@pytest.fixture
def reconfigure(
    venue: Venue, venue_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """A worker with other settings of the perps, the chain, or the oracle."""
    made: list[Runtime] = []

    def change(chain: dict[str, Any] | None = None, oracle: dict[str, Any] | None = None, **perps: Any) -> None:
        values = venue_settings.model_dump()
        values["perps"] |= perps
        values["chain"] |= chain or {}
        values["oracle"] |= oracle or {}
        made.append(Runtime(Settings(_env_file=None, **values)))
        monkeypatch.setitem(tasks.runtime._runtimes, os.getpid(), made[-1])
        venue.runtime = made[-1]

    yield change
    for runtime in made:
        runtime.chain.providers.close()
        runtime.engine.dispose()
