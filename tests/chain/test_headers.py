"""Header hashes: those of recorded blocks and of a real node, and a node that changes a header is noticed.

`headers.json`: Ethereum's blocks 0 and 24,630,100, Optimism's 157,796,868, without their transactions and withdrawals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.chain import errors
from app.chain.adapters.block_logs import read_proven_logs, read_whole_block
from app.chain.adapters.header_proof import is_proven
from app.chain.adapters.logs import read_headers
from app.chain.adapters.rpc import Provider
from app.chain.maths.headers import FIELDS, block_hash, unknown_fields
from tests.chain.conftest import CHAIN_ID, Indexer, contract_set
from tests.chain.emitter import Chain
from tests.fakes.node_proxy import Calls, NodeProxy

pytestmark = pytest.mark.chain

RECORDED: dict[str, dict[str, Any]] = json.loads(Path(__file__).with_name("headers.json").read_text())


def sealed(block: dict[str, Any]) -> list[Any]:
    return [block.get(name) for name in FIELDS]


@pytest.mark.parametrize("name", RECORDED)
def test_the_hashes_of_recorded_blocks_are_found_again(name: str) -> None:
    block = RECORDED[name]
    found = block_hash(sealed(block))
    assert found is not None
    assert "0x" + found.hex() == block["hash"]
    assert unknown_fields(list(block)) == []


@pytest.mark.parametrize("name", RECORDED)
def test_every_field_is_in_the_hash(name: str) -> None:
    block = RECORDED[name]
    true = block_hash(sealed(block))
    for field in FIELDS:
        if field in block:
            last = "0" if block[field][-1] != "0" else "1"
            assert block_hash(sealed(block | {field: block[field][:-1] + last})) not in (true, None)


@pytest.mark.parametrize("change", [{"miner": None}, {"baseFeePerGas": None}, {"nonce": 7}, {"stateRoot": "0xzz"}])
def test_what_is_no_header_has_no_hash(change: dict[str, Any]) -> None:
    assert block_hash(sealed(RECORDED["ethereum, Prague"] | change)) is None


def test_the_headers_of_a_node_are_proven_without_asking_more(chain: Chain, provider: Provider) -> None:
    chain.move(1, 1)
    chain.mine(2)
    headers = read_headers(provider, range(chain.head() + 1))
    sent = provider.calls_sent
    assert [is_proven(provider, header) for header in headers] == [True] * len(headers)
    assert provider.calls_sent == sent


@pytest.fixture
def between(chain: Chain) -> Iterator[tuple[NodeProxy, Provider]]:
    """A proxy, and the node as it looks through it."""
    proxy = NodeProxy(chain.url)
    node = Provider(proxy.url, chain_id=CHAIN_ID, attempts=1)
    yield proxy, node
    node.close()
    proxy.close()


def changing(proxy: NodeProxy, **changes: Any) -> None:
    """Every header comes with these fields."""

    def after(calls: Calls, answer: Any) -> Any:
        for call, item in zip(calls, answer if isinstance(answer, list) else [answer], strict=True):
            if call["method"] == "eth_getBlockByNumber":
                item["result"] |= changes
        return answer

    proxy.after = after


@pytest.mark.parametrize("changes", [{"stateRoot": "0x" + "11" * 32}, {"gasUsed": "0x1"}, {"requestsHash": None}])
def test_a_header_that_is_not_that_of_its_hash_is_noticed(
    changes: dict[str, Any], chain: Chain, between: tuple[NodeProxy, Provider]
) -> None:
    chain.move(1, 1)
    proxy, node = between
    changing(proxy, **changes)
    headers = read_headers(node, [chain.head()])
    for read in (
        lambda: read_proven_logs(node, contract_set(chain), headers, by_hash=True),
        lambda: read_whole_block(node, contract_set(chain), chain.head(), by_hash=True),
    ):
        with pytest.raises(errors.NodeInconsistent, match="not that of its hash"):
            read()
    assert len(read_proven_logs(node, contract_set(chain), headers, by_hash=False)[0]) == 1


@pytest.mark.parametrize("changes", [{"stateRoot": "0x" + "11" * 32, "l1BatchNumber": "0x1"}, {"mixHash": None}])
def test_a_header_of_another_form_is_accused_of_nothing_and_proves_nothing(
    changes: dict[str, Any], chain: Chain, between: tuple[NodeProxy, Provider]
) -> None:
    chain.move(1, 1)
    proxy, node = between
    changing(proxy, **changes)
    headers = read_headers(node, [chain.head()])
    with pytest.raises(errors.ReceiptsUnusable, match="against its hash"):
        read_proven_logs(node, contract_set(chain), headers, by_hash=True)
    assert len(read_whole_block(node, contract_set(chain), chain.head(), by_hash=True).logs) == 1


def test_more_fields_than_we_know_do_no_harm_where_the_hash_is_right(
    chain: Chain, between: tuple[NodeProxy, Provider]
) -> None:
    chain.move(1, 1)
    proxy, node = between
    changing(proxy, milliTimestamp="0x1", nothing=None)
    assert is_proven(node, read_headers(node, [chain.head()])[0])


def test_a_node_with_made_up_headers_and_receipts_to_fit_writes_nothing(
    chain: Chain, indexer: Indexer, proxied: NodeProxy
) -> None:
    """Empty receipts, and a header that says so: only its hash tells."""
    chain.move(1, 1, times=2)
    empty = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"

    def after(calls: Calls, answer: Any) -> Any:
        for call, item in zip(calls, answer if isinstance(answer, list) else [answer], strict=True):
            if call["method"] == "eth_getBlockReceipts":
                item["result"] = []
            if isinstance(item["result"], dict) and "receiptsRoot" in item["result"]:
                item["result"]["receiptsRoot"] = empty
        return answer

    proxied.after = after
    with pytest.raises(errors.NodeInconsistent, match="not that of its hash"):
        indexer.run()
    assert indexer.events() == []
    proxied.after = lambda calls, answer: answer
    indexer.run()
    assert indexer.events() == chain.logs()
