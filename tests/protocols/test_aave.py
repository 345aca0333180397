"""Aave v3 by its protocol file, on its own contracts: every log of the pool is there, raw and decoded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.services.event_list import list_events
from app.chain.services.protocols import load_protocol
from app.chain.types.event_list import EventFilter
from app.chain.types.protocols import Protocol
from app.ops.adapters.embedded_anvil import EmbeddedAnvil
from app.ops.services.protocol_files import check
from tests.chain.conftest import CHAIN_ID, Indexer
from tests.conftest import ROOT
from tests.protocols.aave import PRICE, VARIABLE, Aave
from tests.protocols.deployed import Ground
from tests.protocols.npm import AAVE

pytestmark = pytest.mark.chain
FILE = ROOT / "config/protocols/aave_v3.toml"
WAD = 10**18


@pytest.fixture
def ground(anvil: EmbeddedAnvil) -> Iterator[Ground]:
    made = Ground(anvil.url)
    yield made
    made.close()


def values(aave: Aave) -> dict[str, str]:
    """What fills the file's placeholders."""
    return {
        "aave.chain_id": str(CHAIN_ID),
        "aave.start_block": str(aave.first_block),
        "aave.pool": aave.pool.address,
    }


def test_the_abi_beside_the_file_is_the_package_s() -> None:
    written = json.loads((ROOT / "config/protocols/abi/aave_v3_pool.json").read_text())
    assert written == [entry for entry in AAVE.artifact("Pool")["abi"] if entry["type"] == "event"]


def test_every_log_is_there_and_decoded(ground: Ground, engine: Engine, anvil: EmbeddedAnvil) -> None:
    aave = Aave(ground)
    assert check(FILE, values(aave), anvil.url) == []
    protocol = load_protocol(FILE, values(aave))
    pool, maker, trader, liquidator = aave.pool.functions, ground.maker, ground.trader, ground.liquidator
    aave.fund(aave.usd, maker, 100_000 * WAD)
    aave.fund(aave.eth, trader, 10 * WAD)
    aave.fund(aave.usd, liquidator, 100_000 * WAD)
    ground.send(pool.supply(aave.usd.address, 100_000 * WAD, maker, 7), maker)
    ground.send(pool.supply(aave.eth.address, 10 * WAD, trader, 0), trader)
    ground.send(pool.borrow(aave.usd.address, 15_000 * WAD, VARIABLE, 0, trader), trader)
    ground.later(3600)
    ground.send(aave.usd.functions.approve(aave.pool.address, 2**256 - 1), trader)
    ground.send(pool.repay(aave.usd.address, 1_000 * WAD, VARIABLE, trader), trader)
    aave.price(aave.eth, 1600 * PRICE)
    seized = ground.send(
        pool.liquidationCall(aave.eth.address, aave.usd.address, trader, 7_000 * WAD, False), liquidator
    )

    node = Provider(anvil.url, chain_id=CHAIN_ID)
    indexer = Indexer(engine, Providers([node]), protocol.contract_set)
    assert indexer.run().malformed == 0
    logs = ground.w3.eth.get_logs({"address": aave.pool.address, "fromBlock": 0, "toBlock": "latest"})
    assert indexer.rows("SELECT block_number, log_index, data FROM chain_events ORDER BY 1, 2") == [
        (log["blockNumber"], log["logIndex"], "0x" + bytes(log["data"]).hex()) for log in logs
    ]
    shown = events(engine, protocol)
    assert [name for name, _ in shown if name != "ReserveDataUpdated"] == [
        *("ReserveUsedAsCollateralEnabled", "Supply") * 2,
        "Borrow",
        "Repay",
        "LiquidationCall",
    ]
    # As web3 reads them from the node, argument by argument.
    assert shown == [(name, args) for name, args in (read(aave, log) for log in logs)]
    (said,) = [args for name, args in shown if name == "LiquidationCall"]
    assert said["debtToCover"] == 7_000 * WAD
    # A tenth on top of what was paid, in ether at 1,600: less the protocol's fee, which is none here.
    assert said["liquidatedCollateralAmount"] == 7_000 * WAD * 105 // 100 // 1600
    assert seized["blockNumber"] == indexer.rows("SELECT max(block_number) FROM chain_events")[0][0]
    node.close()


def events(engine: Engine, protocol: Protocol) -> list[tuple[str, dict[str, Any]]]:
    """Every event in the chain's order, by what `/v1/events` is made of."""
    asked = EventFilter(newest_first=False)
    with Session(engine) as session:
        page = list_events(session, {protocol.name: protocol}, asked, cursor=None, limit=200)
    assert page.next_cursor is None
    return [(one.event, dict(one.args or {})) for one in page.items]


def read(aave: Aave, log: Any) -> tuple[str, dict[str, Any]]:
    for event in aave.pool.events:
        if bytes.fromhex(event.topic.removeprefix("0x")) == bytes(log["topics"][0]):
            args = event.process_log(log)["args"]
            return event.name, {
                name: bytes.fromhex(value[2:]) if isinstance(value, str) else value for name, value in args.items()
            }
    raise AssertionError(log)
