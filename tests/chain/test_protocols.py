"""Protocol files: what they mean, and one clear sentence for each mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from app.chain.errors import InvalidProtocol
from app.chain.services.protocols import deployment_values, load_protocol

ONE, TWO = "0x" + "11" * 20, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
ABI = [
    {"type": "event", "name": "Opened", "inputs": [{"name": "id", "type": "uint256", "indexed": True}]},
    {"type": "event", "name": "Closed", "inputs": []},
    {"type": "event", "name": "Closed", "inputs": [{"name": "why", "type": "string"}]},
    {"type": "function", "name": "open", "inputs": []},
]
GOOD = f"""
chain_id = 5
start_block = 12
[contracts.perp]
address = "{ONE}"
abi = "perp.json"
"""
MADE = 'factory = { contract = "perp", event = "Opened", argument = "id" }'
CHILD = GOOD + '[contracts.pool]\nabi = "list.json"\n'
QUIET = [{"type": "event", "name": name, "anonymous": True, "inputs": []} for name in ("Hush", "Still")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with ABI files."""
    (tmp_path / "perp.json").write_text(json.dumps({"abi": ABI, "bytecode": "0x"}))
    (tmp_path / "list.json").write_text(json.dumps(ABI))
    (tmp_path / "quiet.json").write_text(json.dumps(QUIET))
    (tmp_path / "empty.json").write_text("{}")
    (tmp_path / "broken.json").write_text("[")
    (tmp_path / "odd.json").write_text(json.dumps([{"type": "event", "name": "E", "inputs": [{"type": "uint7"}]}]))
    return tmp_path


def load(folder: Path, text: str, **values: str) -> Any:
    """The protocol in `text`."""
    (folder / "x.toml").write_text(text)
    return load_protocol(folder / "x.toml", values)


def test_a_file_names_contracts_and_their_events(folder: Path) -> None:
    protocol = load(folder, GOOD)
    contracts = protocol.contract_set
    assert (contracts.name, contracts.chain_id, contracts.start_block) == ("x", 5, 12)
    assert contracts.addresses == [b"\x11" * 20]
    assert sorted((event.contract, event.name) for event in contracts.watched.values()) == [
        ("perp", "Closed"),
        ("perp", "Closed"),
        ("perp", "Opened"),
    ]
    assert protocol.contracts["perp"].abi == ABI
    assert protocol.sections == {}


def test_events_may_be_chosen_and_addresses_be_many(folder: Path) -> None:
    text = GOOD.replace(f'"{ONE}"', f'["{ONE}", "{TWO}"]').replace("perp.json", "list.json") + 'events = ["Opened"]'
    contracts = load(folder, text).contract_set
    assert contracts.addresses == [b"\x11" * 20, bytes.fromhex(TWO[2:])]
    assert len(contracts.topics) == 1


def test_placeholders_come_from_the_deployment_and_the_environment(folder: Path) -> None:
    deployed = {"chain_id": 77, "perp": {"address": ONE, "block_number": 9}, "guardians": ["0x"]}
    (folder / "deployment.json").write_text(json.dumps(deployed))
    values = deployment_values(folder / "deployment.json") | {"MARKET": "BTC"}
    text = (
        GOOD.replace(ONE, "${perp.address}")
        .replace("= 5", '= "${chain_id}"')
        .replace("= 12", '= "${perp.block_number}"')
    )
    protocol = load(folder, text + '[perps]\nmarkets = ["${MARKET}-USD", 5]', **values)
    contracts = protocol.contract_set
    assert (contracts.chain_id, contracts.start_block, contracts.addresses) == (77, 9, [b"\x11" * 20])
    assert protocol.sections == {"perps": {"markets": ["BTC-USD", 5]}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "x.toml: chain_id is missing."),
        ("chain_id =", "x.toml is not TOML: "),
        (GOOD.replace("= 5", '= "five"'), "x.toml: chain_id: expected `int`, got `str`."),
        (GOOD.replace("= 5", "= 0"), "x.toml: chain_id: must be at least 1 and fit 64 bits, not 0."),
        (GOOD.replace("= 12", "= -1"), "x.toml: start_block: must be at least 0 and fit 64 bits, not -1."),
        ("unknown = 1\n" + GOOD, "x.toml: unknown: there is no such key."),
        (GOOD + "unit = 1", "x.toml: contracts.perp.unit: there is no such key."),
        (GOOD.replace('abi = "perp.json"', ""), "x.toml: contracts.perp.abi is missing."),
        (GOOD.split("[")[0] + "contracts = {}", "x.toml: contracts: at least one is needed."),
        (GOOD.split("[")[0] + "contracts = {perp = 1}", "x.toml: contracts.perp: expected `object`, got `int`."),
        (GOOD.replace(ONE, "0x11"), "x.toml: contracts.perp.address: '0x11' is not an address"),
        (GOOD.replace(ONE, TWO.replace("5a", "5A")), "x.toml: contracts.perp.address: the capitals of 0x5AAeb6"),
        (GOOD.replace(f'"{ONE}"', "[]"), "x.toml: contracts.perp.address: needs an address"),
        (GOOD.replace(f'"{ONE}"', f'["{ONE}", "{ONE}"]'), "x.toml: contracts.perp.address: needs an address"),
        (GOOD.replace(ONE, "${perp.address}"), "x.toml: contracts.perp.address: nothing is known as perp.address;"),
        (GOOD.replace("perp.json", "none.json"), "x.toml: contracts.perp.abi: "),
        (GOOD.replace("perp.json", "broken.json"), "x.toml: contracts.perp.abi: "),
        (GOOD.replace("perp.json", "empty.json"), "x.toml: contracts.perp.abi: "),
        (GOOD.replace("perp.json", "odd.json"), "x.toml: contracts.perp.abi: E(uint7): the type uint7 of arg0"),
        (
            GOOD + 'events = ["Opend"]',
            "x.toml: contracts.perp.events: the ABI has no event Opend; it has Closed, Opened.",
        ),
        (GOOD + "events = []", "x.toml: contracts.perp.events: no event of the ABI is wanted."),
        (
            GOOD + f'[contracts.other]\naddress = "{ONE}"\nabi = "list.json"',
            "x.toml: contracts.other.address is also that of contracts.perp.",
        ),
        (GOOD + MADE, "x.toml: contracts.perp.factory: a contract has an address or a factory, not both."),
        (GOOD.replace("address", "#"), "x.toml: contracts.perp.address is missing (or a factory that makes"),
        (GOOD.replace("[contracts.perp]", "[contracts.'p q']"), "x.toml: contracts.p q: the name must be letters, "),
        (CHILD + MADE.replace("perp", "nobody"), "x.toml: contracts.pool.factory.contract: nobody is no contract of"),
        (CHILD + MADE.replace("perp", "pool"), "x.toml: contracts.pool.factory.contract: pool is no contract of"),
        (CHILD + MADE.replace("Opened", "Made"), "x.toml: contracts.pool.factory.event: Made is not an event that"),
        (CHILD + MADE, "x.toml: contracts.pool.factory.argument: Opened has no argument id that is an address."),
        (CHILD + MADE.replace(', argument = "id"', ""), "x.toml: contracts.pool.factory.argument is missing."),
        (
            GOOD.replace("perp.json", "quiet.json") + 'events = ["Hush", "Still"]',
            "x.toml: contracts.perp.events: the anonymous events Hush and Still have as many topics,",
        ),
        (
            CHILD.replace('"list.json"', '"quiet.json"\nevents = ["Hush"]')
            + MADE.replace('"Opened"', '"Closed"').replace('"id"', '"why"'),
            "x.toml: contracts.pool.events: an anonymous event has no topic to ask for it by",
        ),
        (GOOD.replace("perp.json", "quiet.json"), "x.toml: contracts.perp.events: no event of the ABI is wanted."),
    ],
)
def test_each_mistake_is_one_sentence_with_its_key(folder: Path, text: str, sentence: str) -> None:
    with pytest.raises(InvalidProtocol) as refused:
        load(folder, text)
    assert refused.value.detail.startswith(sentence)
    assert "\n" not in refused.value.detail


def test_a_file_whose_name_cannot_be_a_protocol_s(folder: Path) -> None:
    (folder / "Perp-v2.toml").write_text(GOOD)
    with pytest.raises(InvalidProtocol, match=r"Perp-v2\.toml: the name must be"):
        load_protocol(folder / "Perp-v2.toml", {})


def test_a_file_that_is_not_there(folder: Path) -> None:
    with pytest.raises(InvalidProtocol, match=r"none\.toml cannot be read"):
        load_protocol(folder / "none.toml", {})
    with pytest.raises(InvalidProtocol, match="deployment file"):
        deployment_values(folder / "none.json")
    with pytest.raises(InvalidProtocol, match="not a JSON object"):
        deployment_values(folder / "list.json")
