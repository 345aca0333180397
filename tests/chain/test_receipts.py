"""Receipt roots: those of real blocks of every type; and a node that changes receipts is noticed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from eth_account import Account
from eth_utils.address import to_checksum_address

from app.chain import errors
from app.chain.adapters.block_logs import read_block_logs, read_proven_logs
from app.chain.adapters.logs import read_headers, read_window
from app.chain.adapters.rpc import Provider
from app.chain.maths.receipts import receipts_root
from app.chain.types.blocks import Log, Receipt
from tests.chain.conftest import CHAIN_ID, contract_set
from tests.chain.emitter import Chain
from tests.fakes.node_proxy import NodeProxy

pytestmark = pytest.mark.chain

# Roots that stand in public chains: the trie of nothing, and a block whose one transaction, legacy, moved ether
# (go-ethereum, internal/ethapi/testdata: block 10, receipt and header).
EMPTY = "56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
ONE_TRANSFER = "056b23fbba480696b65fe5a59b8f2148a1299103c4f57df839233af2cf4ca2d2"


def test_roots_known_from_public_chains() -> None:
    assert receipts_root([]).hex() == EMPTY
    assert receipts_root([Receipt(0, 1, 21_000, bytes(256), ())]).hex() == ONE_TRANSFER


def test_a_type_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="0x7e"):
        receipts_root([Receipt(0x7E, 1, 21_000, bytes(256), ())])


def mixed_block(chain: Chain, size: int) -> None:
    """A block of `size` transactions of every type that the node signs for us, some of which fail or emit nothing."""
    chain.ask("evm_setBlockGasLimit", hex(10**9))
    for place in range(size):
        call = chain.moved(place, 1, times=place % 4) | {"gas": hex(400_000)}
        kind: dict[str, Any] = [
            {"type": "0x0", "gasPrice": hex(10**10)},
            {"type": "0x1", "gasPrice": hex(10**10), "accessList": []},
            {"type": "0x2", "maxFeePerGas": hex(10**10), "maxPriorityFeePerGas": hex(10**9)},
        ][place % 3]
        failing = {"data": "0xdeadbeef"} if place % 7 == 3 else {}
        chain.ask("eth_sendTransaction", call | kind | failing)
    chain.ask("evm_mine")


@pytest.mark.parametrize("size", [0, 1, 2, 17, 130, 300])
def test_the_root_of_real_blocks_is_found_again(size: int, chain: Chain, provider: Provider) -> None:
    mixed_block(chain, size)
    contracts = contract_set(chain)
    head = chain.head()
    headers = read_headers(provider, [head])
    window = read_window(provider, contracts, first=head, last=head, known={}, settled=True)
    assert read_proven_logs(provider, contracts, headers, by_hash=True) == [list(window.logs)]
    assert read_block_logs(provider, contracts, headers) == [list(window.logs)]
    kinds = {receipt["type"] for receipt in chain.ask("eth_getBlockReceipts", hex(head))}
    assert kinds == {"0x0", "0x1", "0x2"} if size > 2 else size > 0 or not kinds


def test_a_blob_transaction_s_receipt(chain: Chain, provider: Provider) -> None:
    holder = Account.create()
    chain.ask("anvil_setBalance", holder.address, hex(10**20))
    data = chain.moved(1, 1, times=2)["data"]
    transaction = {
        "type": 3,
        "chainId": CHAIN_ID,
        "nonce": 0,
        "to": to_checksum_address(chain.emitter),
        "data": data,
        "value": 0,
        "gas": 400_000,
        "maxFeePerGas": 10**11,
        "maxPriorityFeePerGas": 10**9,
        "maxFeePerBlobGas": 10**11,
        "accessList": [],
    }
    signed = holder.sign_transaction(transaction, blobs=[bytes(131_072)])
    chain.ask("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex())
    chain.ask("evm_mine")
    receipts = chain.ask("eth_getBlockReceipts", hex(chain.head()))
    assert [receipt["type"] for receipt in receipts] == ["0x3"]
    headers = read_headers(provider, [chain.head()])
    assert len(read_proven_logs(provider, contract_set(chain), headers, by_hash=True)[0]) == 2


def cut_logs(receipts: list[dict[str, Any]]) -> None:
    receipts[0]["logs"] = receipts[0]["logs"][:-1]


def cut_receipts(receipts: list[dict[str, Any]]) -> None:
    del receipts[-1]


def change_data(receipts: list[dict[str, Any]]) -> None:
    receipts[0]["logs"][0]["data"] = "0x" + "11" * 64


@pytest.fixture
def between(chain: Chain) -> Iterator[NodeProxy]:
    proxy = NodeProxy(chain.url)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("lie", [cut_logs, cut_receipts, change_data])
def test_receipts_that_are_not_the_block_s_are_noticed(lie: Any, chain: Chain, between: NodeProxy) -> None:
    chain.ask("eth_sendTransaction", chain.moved(1, 1, times=3))
    chain.move(2, 2)
    node = Provider(between.url, chain_id=CHAIN_ID, attempts=1)
    headers = read_headers(node, [chain.head()])

    def after(calls: list[dict[str, Any]], answer: Any) -> Any:
        if calls[0]["method"] == "eth_getBlockReceipts":
            lie(answer[0]["result"])
        return answer

    assert len(read_proven_logs(node, contract_set(chain), headers, by_hash=True)[0]) == 4
    between.after = after
    with pytest.raises(errors.NodeInconsistent, match="not those of block"):
        read_proven_logs(node, contract_set(chain), headers, by_hash=True)
    node.close()


def test_receipts_that_cannot_be_proven_say_so(chain: Chain, provider: Provider) -> None:
    chain.move(1, 1)
    header = read_headers(provider, [chain.head()])[0]
    bare = msgspec.structs.replace(header, receipts_root=b"")
    with pytest.raises(errors.ReceiptsUnusable):
        read_proven_logs(provider, contract_set(chain), [bare], by_hash=True)


def test_a_block_the_node_does_not_have_is_no_empty_block(chain: Chain, provider: Provider) -> None:
    header = read_headers(provider, [chain.head()])[0]
    unknown = msgspec.structs.replace(header, hash=b"\1" * 32)
    with pytest.raises(errors.AppError) as failure:
        read_block_logs(provider, contract_set(chain), [unknown])
    assert isinstance(failure.value, errors.BlockUnavailable)
    beyond = msgspec.structs.replace(header, number=header.number + 100)
    with pytest.raises(errors.BlockUnavailable):
        read_proven_logs(provider, contract_set(chain), [beyond], by_hash=True)


def test_other_contracts_logs_in_a_block_stay_out(chain: Chain, provider: Provider) -> None:
    elsewhere = chain.deploy()
    chain.ask("eth_sendTransaction", chain.moved(1, 1, times=3, to=elsewhere))
    chain.move(2, 2)
    headers = read_headers(provider, [chain.head()])
    logs: list[list[Log]] = read_proven_logs(provider, contract_set(chain), headers, by_hash=True)
    assert [log.log_index for log in logs[0]] == [3]
