"""Contracts that a factory makes, many contracts, and anonymous events: complete, and rolled back, on a real node."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from sqlalchemy import text
from sqlalchemy.orm import Session
from vyper.compiler import compile_code

from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.services.event_list import list_events
from app.chain.services.event_views import apply_views
from app.chain.services.protocols import load_protocol
from app.chain.services.stored_events import read_events
from app.chain.types.blocks import Event, Log
from app.chain.types.event_list import EventFilter
from app.chain.types.indexing import IndexOptions, RangeLimits
from app.chain.types.protocols import Protocol
from tests.chain.conftest import CHAIN_ID, Indexer, reindexed
from tests.chain.emitter import GAS, Chain, compiled
from tests.chain.test_lying_nodes import audited
from tests.fakes.node_proxy import NodeProxy

# What a node that refused large answers has taught.
TAUGHT = text(
    """
    INSERT INTO chain_range_sizes (chain_id, provider, contract_set, blocks, ceiling, successes)
    SELECT chain_id, :provider, name, 10, 10, 0 FROM chain_cursors
    ON CONFLICT (chain_id, provider, contract_set) DO UPDATE SET blocks = 10, ceiling = 10
    """
)

pytestmark = pytest.mark.chain

SOURCE = """
# pragma version 0.4.3

interface Emitter:
    def move(account: uint256, amount: int256, times: uint256): nonpayable

event Made:
    number: uint256
    child: indexed(address)

template: address

@deploy
def __init__(template: address):
    self.template = template

@external
def make(count: uint256, times: uint256):
    for number: uint256 in range(count, bound=200):
        child: address = create_minimal_proxy_to(self.template)
        extcall Emitter(child).move(number, 1, times)
        log Made(number=number, child=child)
        extcall Emitter(child).move(number, 2, times)

@external
def whisper(first: bytes32, second: bytes32, data: Bytes[64]):
    raw_log([first, second], data)

@external
def mutter(data: Bytes[64]):
    raw_log([], data)
"""
WHISPER = {
    "type": "event",
    "name": "Whisper",
    "anonymous": True,
    "inputs": [
        {"name": "who", "type": "address", "indexed": True},
        {"name": "word", "type": "bytes32", "indexed": True},
        {"name": "loud", "type": "uint256", "indexed": False},
    ],
}
MUTTER = {"type": "event", "name": "Mutter", "anonymous": True, "inputs": [{"name": "loud", "type": "uint256"}]}
MADE = "0x" + keccak(text="Made(uint256,address)").hex()
FILE = """
chain_id = {chain_id}
[contracts.factory]
address = "{factory}"
abi = "factory.json"
{events}
[contracts.emitter]
abi = "emitter.json"
events = ["Moved"]
factory = {{ contract = "factory", event = "Made", argument = "child" }}
"""


@cache
def factory_code() -> dict[str, Any]:
    return dict(compile_code(SOURCE, output_formats=["abi", "bytecode"]))


class Plant:
    """The factory on the chain, its protocol file, and what the chain itself says of it."""

    def __init__(self, chain: Chain, folder: Path):
        self.chain, self.folder = chain, folder
        code = factory_code()["bytecode"] + encode(["address"], [chain.emitter]).hex()
        self.address = str(chain.send({"from": chain.account, "data": code, "gas": GAS})["contractAddress"])
        (folder / "factory.json").write_text(json.dumps([*factory_code()["abi"], WHISPER, MUTTER]))
        (folder / "emitter.json").write_text(json.dumps(compiled()["abi"]))

    def protocol(self, events: str = "") -> Protocol:
        """The file, loaded."""
        file = self.folder / "plant.toml"
        file.write_text(FILE.format(chain_id=CHAIN_ID, factory=self.address, events=events))
        return load_protocol(file, {})

    def making(self, count: int, times: int = 1) -> dict[str, str]:
        """A transaction that makes children, each moving before and after it is told of."""
        return self.chain.call_of("make(uint256,uint256)", count, times, to=self.address)

    def children(self) -> list[str]:
        """The addresses in the creation events."""
        found = self.chain.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest", "address": self.address})
        return ["0x" + log["topics"][1][26:] for log in found if log["topics"][:1] == [MADE]]

    def logs(self) -> list[tuple[int, int, str]]:
        """Place and address of every log of the factory and its children."""
        every = self.chain.ask("eth_getLogs", {"fromBlock": "0x0", "toBlock": "latest"})
        ours = {self.address, *self.children()}
        return [
            (int(log["blockNumber"], 16), int(log["logIndex"], 16), log["address"])
            for log in every
            if log["address"] in ours
        ]


class Heard:
    """A projection that keeps what it is told, by place."""

    def __init__(self) -> None:
        self.events: list[tuple[int, int, str]] = []

    def apply(self, session: Session, events: Sequence[Event]) -> None:
        """Remember."""
        self.events += [(one.log.block_number, one.log.log_index, "0x" + one.log.address.hex()) for one in events]

    def refusal(self, event: Event) -> str | None:
        """None is refused."""

    def rollback(self, session: Session, chain_id: int, from_block: int) -> None:
        """Forget."""
        self.events = [place for place in self.events if place[0] < from_block]

    def forget(self, session: Session, chain_id: int, logs: Sequence[Log]) -> None:
        """Nothing that the chain never had is told here."""
        raise AssertionError(logs)


@pytest.fixture
def plant(chain: Chain, tmp_path: Path) -> Plant:
    """A factory beside the emitter that its children are copies of."""
    return Plant(chain, tmp_path)


@pytest.fixture
def reader(indexer: Indexer, plant: Plant) -> Indexer:
    """The factory's indexer."""
    return replace(indexer, contracts=plant.protocol().contract_set, projections={})


@pytest.fixture
def asked(chain: Chain, reader: Indexer) -> Iterator[list[list[dict[str, Any]]]]:
    """Every request to the node, a list of calls each."""
    requests: list[list[dict[str, Any]]] = []
    proxy = NodeProxy(chain.url)
    proxy.before = lambda calls: requests.append(calls)
    node = Provider(proxy.url, chain_id=CHAIN_ID)
    reader.providers = Providers([node])
    yield requests
    node.close()
    proxy.close()


def rows(reader: Indexer) -> list[tuple[Any, ...]]:
    return reader.rows("SELECT block_number, log_index, address FROM chain_events ORDER BY 1, 2")


def limited(addresses: int, blocks: int = 1000) -> IndexOptions:
    return IndexOptions(limits=RangeLimits(max_blocks=blocks, max_addresses=addresses))


@pytest.mark.parametrize("blocks", [1, 2, 1000])
@pytest.mark.parametrize("addresses", [2, 1000])
def test_children_are_complete_from_the_block_they_are_made_in(
    chain: Chain, plant: Plant, reader: Indexer, addresses: int, blocks: int
) -> None:
    """Whatever the windows: their events of the same block, before and after, and those of strangers left out."""
    for count in (3, 1):
        chain.send(plant.making(count, 2))
        for child in plant.children():
            chain.send(chain.moved(7, 7, to=child))
        chain.move(1, 1, times=3)  # the template itself: nobody asked for it
    heard = Heard()
    reader.options, reader.projections = limited(addresses, blocks), {"plant": [heard]}
    while reader.run().behind:
        pass
    assert heard.events == rows(reader) == plant.logs()
    assert len(rows(reader)) == 4 * (1 + 4) + 3 + 4
    assert reader.rows("SELECT address FROM chain_children ORDER BY 1") == [(one,) for one in sorted(plant.children())]


def log_filters(requests: list[list[dict[str, Any]]]) -> list[int]:
    """How many addresses each log filter named."""
    calls = [call for calls in requests for call in calls if call["method"] == "eth_getLogs"]
    return [len(call["params"][0].get("address", [])) for call in calls]


def test_more_addresses_than_a_filter_takes_are_asked_by_topic_or_in_chunks(
    chain: Chain, plant: Plant, reader: Indexer, asked: list[list[dict[str, Any]]]
) -> None:
    chain.send(plant.making(6))
    reader.options = limited(3)
    reader.run()
    assert log_filters(asked) == [1, 3, 3]  # the factory; then its six children, found in the same window
    asked.clear()
    chain.send(chain.moved(7, 7, to=plant.children()[0]))
    reader.run()
    assert log_filters(asked) == [0]  # by topic alone: one filter instead of three
    asked.clear()
    with reader.engine.begin() as connection:
        connection.execute(TAUGHT, {"provider": next(iter(reader.providers)).name})
    chain.send(chain.moved(7, 7, to=plant.children()[0]))
    chain.mine(9)
    reader.run()
    assert log_filters(asked) == [3, 3, 1]
    assert rows(reader) == plant.logs()


def test_a_reorg_undoes_children(chain: Chain, plant: Plant, reader: Indexer, clean: Indexer) -> None:
    chain.send(plant.making(2))
    kept = plant.children()
    chain.send(plant.making(3))
    chain.send(chain.moved(1, 1, to=plant.children()[-1]))
    reader.run()
    assert len(reader.rows("SELECT * FROM chain_children")) == 5
    clean.contracts, clean.projections = reader.contracts, {}
    chain.reorg(2, (chain.moved(1, 1, to=kept[0]), 0))
    reader.run()
    assert [one for (one,) in reader.rows("SELECT address FROM chain_children ORDER BY 1")] == sorted(kept)
    assert rows(reader) == plant.logs()
    assert reader.state() == reindexed(clean)
    chain.send(plant.making(1))  # the address of one that is undone is made again
    reader.run()
    assert rows(reader) == plant.logs()
    assert reader.state() == reindexed(clean)


def test_an_audit_finds_nothing_wrong_with_children_and_leaves_a_creation_that_never_was(
    chain: Chain, plant: Plant, reader: Indexer
) -> None:
    chain.send(plant.making(2, 1))
    chain.mine(70)
    reader.run()
    assert (audited(reader, 40).rows_missing, reader.rows("SELECT sum(rows_extra) FROM chain_audits")) == (0, [(0,)])
    with reader.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM chain_audits")
        connection.exec_driver_sql(
            "CREATE TEMPORARY TABLE made_up ON COMMIT DROP AS SELECT * FROM chain_events WHERE log_index < 3"
        )
        connection.exec_driver_sql("UPDATE made_up SET log_index = log_index + 90")
        connection.exec_driver_sql("INSERT INTO chain_events SELECT * FROM made_up")
    made = sum(1 for (topic,) in reader.rows("SELECT topic0 FROM chain_events WHERE log_index >= 90") if topic == MADE)
    found = audited(reader, 40)
    assert (found.rows_extra, found.rows_repaired) == (3, 3 - made)
    assert made > 0


def test_anonymous_events_are_read_where_the_file_names_them(
    chain: Chain, plant: Plant, indexer: Indexer, session: Session
) -> None:
    who, word = bytes(12) + b"\xaa" * 20, b"\xbb" * 32
    whispers = [
        chain.call_of("whisper(bytes32,bytes32,bytes)", who, word, encode(["uint256"], [5]), to=plant.address),
        chain.call_of("whisper(bytes32,bytes32,bytes)", b"\xff" * 32, word, encode(["uint256"], [6]), to=plant.address),
        chain.call_of("mutter(bytes)", encode(["uint256"], [7]), to=plant.address),
        plant.making(1, 0),
    ]
    for transaction in whispers:
        chain.send(transaction)
    unnamed = replace(indexer, contracts=replace(plant.protocol().contract_set, name="unnamed"), projections={})
    unnamed.run()
    assert len(rows(unnamed)) == 1
    protocol = plant.protocol('events = ["Made", "Whisper", "Mutter"]')
    named = replace(indexer, contracts=protocol.contract_set, projections={})
    assert (named.run().malformed, len(rows(named))) == (1, 4)
    page = list_events(session, {"plant": protocol}, EventFilter(newest_first=False), cursor=None, limit=10)
    assert [(one.event, one.args) for one in page.items] == [
        ("Whisper", {"who": b"\xaa" * 20, "word": word, "loud": 5}),
        ("Whisper", None),
        ("Mutter", {"loud": 7}),
        ("Made", {"number": 0, "child": bytes.fromhex(plant.children()[0][2:])}),
    ]
    whispered = EventFilter(event="Whisper")
    page = list_events(session, {"plant": protocol}, whispered, cursor=None, limit=10)
    assert [one.log.log_index for one in page.items] == [0, 0]
    apply_views(session, protocol)
    session.commit()
    assert named.rows("SELECT who, loud, decode_error IS NULL FROM ev_plant_whisper ORDER BY loud") == [
        ("0x" + "aa" * 20, 5, True),
        ("0x" + "ff" * 20, 6, False),
    ]
    assert named.rows("SELECT loud FROM ev_plant_mutter") == [(7,)]
    chain.mine(70)
    named.run()
    found = audited(named, 40)
    assert (found.rows_missing, found.rows_extra) == (0, 0)


def test_an_event_that_is_not_wanted_is_not_taken_for_an_anonymous_one(
    chain: Chain, plant: Plant, indexer: Indexer
) -> None:
    """`Made` has as many topics as `Whisper`; that it is in the ABI tells them apart."""
    words = (bytes(32), bytes(32), encode(["uint256"], [5]))
    chain.send(chain.call_of("whisper(bytes32,bytes32,bytes)", *words, to=plant.address))
    chain.send(plant.making(1, 0))
    plant.protocol()
    file = plant.folder / "whispers.toml"
    file.write_text((plant.folder / "plant.toml").read_text().split("[contracts.emitter]")[0] + 'events = ["Whisper"]')
    reader = replace(indexer, contracts=load_protocol(file, {}).contract_set, projections={})
    assert (reader.run().malformed, reader.rows("SELECT data FROM chain_events")) == (0, [("0x" + words[2].hex(),)])


def test_readers_find_children_by_name_and_address(
    chain: Chain, plant: Plant, reader: Indexer, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.send(plant.making(3))
    reader.run()
    protocol, child = plant.protocol(), plant.children()[1]

    def found(contract: str) -> list[tuple[str, str, int]]:
        asked = EventFilter(contract=contract, event="Moved", newest_first=False)
        page = list_events(session, {"plant": protocol}, asked, cursor=None, limit=50)
        return [("0x" + one.log.address.hex(), one.contract, one.args["amount"]) for one in page.items if one.args]

    every = [(one, "emitter", amount) for one in plant.children() for amount in (1, 2)]
    assert found("emitter") == every
    assert found(child) == [(child, "emitter", 1), (child, "emitter", 2)]
    monkeypatch.setattr("app.chain.services.event_list.MOST_WALKS", 2)
    assert found("emitter") == every
    apply_views(session, protocol)
    session.commit()
    assert reader.rows("SELECT address, amount FROM ev_plant_moved ORDER BY log_index") == [
        (one, amount) for one, _, amount in every
    ]
    places = session.connection().exec_driver_sql("SELECT block_hash, log_index FROM chain_events").all()
    read = read_events(session, protocol.contract_set, [(bytes(one), index) for one, index in places])
    assert sorted({event.contract for event in read}) == ["emitter", "factory"]
    assert len(read) == 9
