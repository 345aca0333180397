"""A desk on a fresh chain and a fresh database."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from app.chain.adapters.rpc import Provider
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from tests.chain_sender.desk import CHAIN_ID, Desk


@pytest.fixture
def desk(engine: Engine, anvil: EmbeddedAnvil) -> Iterator[Desk]:
    """The sender's desk; a block comes when the test mines it."""
    rpc = Provider(anvil.url, chain_id=CHAIN_ID, timeout_seconds=5.0)
    rpc.call("evm_setAutomine", False)
    yield Desk(engine, rpc)
    rpc.close()
