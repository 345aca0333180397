"""The development Pyth: it takes real updates and refuses every tampering, with the real contract's selectors."""

from __future__ import annotations

from typing import Any

import pytest
from web3.contract import Contract

from contracts.build import artifact
from contracts.feeds import FEEDS
from contracts.guardians import DEVELOPMENT_GUARDIANS, PYTH_EMITTER, PYTH_EMITTER_CHAIN, GuardianSet
from contracts.pnau import PriceMessage, blob, encode_prices, leaf_hash, root_payload, signed_vaa, vaa_body
from tests.contracts.exchange import Exchange
from tests.contracts.pnau_reader import read
from tests.contracts.real import ANSWERS, BLOBS, GUARDIAN_SET_4

pytestmark = pytest.mark.chain

STALE_PRICE = "0x19abf40e"
INSUFFICIENT_FEE = "0x025dbdd4"
PRICE_FEED_NOT_FOUND = "0x14aebe68"
INVALID_UPDATE_DATA = "0xe69ffece"
INVALID_UPDATE_DATA_SOURCE = "0xe60dce71"
INVALID_WORMHOLE_VAA = "0x2acbe915"

BTC_ID = FEEDS[0].price_id
FOUR = GuardianSet(3, tuple(bytes([i]) * 32 for i in range(1, 5)))  # a quorum is three of them


def message(price_id: bytes = BTC_ID, price: int = 61_000 * 10**8, at: int = 1_800_000_000) -> PriceMessage:
    return PriceMessage(price_id, price, 5, -8, at, at - 1, price, 5)


def deploy_pyth(exchange: Exchange, index: int, guardians: list[str], fee: int = 1) -> Contract:
    """Another development Pyth, trusting other guardians."""
    made = artifact("dev_pyth")
    checksummed = [exchange.w3.to_checksum_address(address) for address in guardians]
    call = exchange.w3.eth.contract(abi=made.abi, bytecode=made.bytecode).constructor(
        index, checksummed, PYTH_EMITTER_CHAIN, PYTH_EMITTER, fee
    )
    digest = call.transact({"from": exchange.owner, "gas": 6_000_000})
    exchange.rpc("evm_mine")
    address = exchange.w3.eth.get_transaction_receipt(digest)["contractAddress"]
    return exchange.w3.eth.contract(address=address, abi=made.abi)


def refused(exchange: Exchange, data: bytes | list[bytes], pyth: Contract | None = None) -> str:
    updates = [data] if isinstance(data, bytes) else data
    value = 10**6
    return exchange.refusal(pyth or exchange.pyth, "updatePriceFeeds", updates, sender=exchange.alice, value=value)


def store(exchange: Exchange, *updates: bytes, pyth: Contract | None = None) -> list[dict[str, Any]]:
    pyth = pyth or exchange.pyth
    fee = pyth.functions.getUpdateFee(list(updates)).call()
    mined = exchange.send(pyth, "updatePriceFeeds", list(updates), sender=exchange.alice, value=fee)
    return [event.args for event in mined.events]


def stored(exchange: Exchange, price_id: bytes, pyth: Contract | None = None) -> tuple[int, ...]:
    return tuple((pyth or exchange.pyth).functions.getPriceUnsafe(price_id).call())


@pytest.mark.parametrize(
    ("data", "answer"), list(zip(BLOBS, ANSWERS, strict=True)), ids=["latest", "stream-1", "stream-2"]
)
def test_real_updates_are_taken_from_the_real_guardians(
    exchange: Exchange, data: bytes, answer: dict[str, Any]
) -> None:
    pyth = deploy_pyth(exchange, 4, GUARDIAN_SET_4)
    store(exchange, data, pyth=pyth)
    for said in answer["parsed"]:
        price = said["price"]
        expected = (int(price["price"]), int(price["conf"]), price["expo"], price["publish_time"])
        assert stored(exchange, bytes.fromhex(said["id"]), pyth) == expected
    # The development guardian's contract does not take it, nor that contract the development guardian's.
    assert refused(exchange, data) == INVALID_WORMHOLE_VAA
    assert refused(exchange, encode_prices([message()]), pyth) == INVALID_WORMHOLE_VAA


def test_what_is_stored_and_said(exchange: Exchange) -> None:
    negative = message(b"\x07" * 32, price=-(2**63))
    events = store(exchange, encode_prices([message(), negative]))
    assert events == [
        {"id": BTC_ID, "publishTime": 1_800_000_000, "price": 61_000 * 10**8, "conf": 5},
        {"id": b"\x07" * 32, "publishTime": 1_800_000_000, "price": -(2**63), "conf": 5},
    ]
    assert stored(exchange, b"\x07" * 32) == (-(2**63), 5, -8, 1_800_000_000)


def test_only_newer_prices_are_stored(exchange: Exchange) -> None:
    store(exchange, encode_prices([message(at=1000)]))
    assert store(exchange, encode_prices([message(price=1, at=1000)])) == []
    assert store(exchange, encode_prices([message(price=2, at=999)])) == []
    assert stored(exchange, BTC_ID)[0] == 61_000 * 10**8
    assert len(store(exchange, encode_prices([message(price=3, at=1001)]))) == 1
    assert stored(exchange, BTC_ID) == (3, 5, -8, 1001)


def test_the_fee_is_a_unit_for_each_price(exchange: Exchange) -> None:
    pyth = deploy_pyth(exchange, 0, ["0x" + DEVELOPMENT_GUARDIANS.addresses[0].hex()], fee=10)
    two = encode_prices([message(), message(b"\x01" * 32)])
    one = encode_prices([message(b"\x02" * 32)])
    assert pyth.functions.getUpdateFee([two, one]).call() == 30
    assert pyth.functions.getUpdateFee([]).call() == 0
    arguments = ("updatePriceFeeds", [two, one])
    assert exchange.refusal(pyth, *arguments, sender=exchange.alice, value=29) == INSUFFICIENT_FEE
    exchange.send(pyth, *arguments, sender=exchange.alice, value=30)
    assert stored(exchange, b"\x02" * 32, pyth)[3] == 1_800_000_000


def test_age_counts_in_both_directions(exchange: Exchange) -> None:
    assert exchange.refusal(exchange.pyth, "getPriceUnsafe", BTC_ID, sender=exchange.alice) == PRICE_FEED_NOT_FOUND
    asked = ("getPriceNoOlderThan", BTC_ID, 60)
    assert exchange.refusal(exchange.pyth, *asked, sender=exchange.alice) == PRICE_FEED_NOT_FOUND
    store(exchange, encode_prices([message(at=exchange.now + 1)]))
    exchange.send(exchange.pyth, *asked, sender=exchange.alice, after=1)
    exchange.send(exchange.pyth, *asked, sender=exchange.alice, after=59)
    assert exchange.refusal(exchange.pyth, *asked, sender=exchange.alice) == STALE_PRICE
    store(exchange, encode_prices([message(at=exchange.now + 62)]))
    # That block is a second later: the price is 61 seconds ahead of it, and 60 ahead of the next.
    assert exchange.refusal(exchange.pyth, *asked, sender=exchange.alice, after=0) == STALE_PRICE
    exchange.send(exchange.pyth, *asked, sender=exchange.alice)


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


GOOD = encode_prices([message(), message(b"\x01" * 32), message(b"\x02" * 32)])
VAA_AT = 10
VAA_END = VAA_AT + int.from_bytes(GOOD[8:10], "big")
MESSAGE_AT = VAA_END + 3
PROOF_AT = MESSAGE_AT + 86


@pytest.mark.parametrize(
    ("at", "error"),
    [
        pytest.param(0, INVALID_UPDATE_DATA, id="magic"),
        pytest.param(4, INVALID_UPDATE_DATA, id="major version"),
        pytest.param(7, INVALID_UPDATE_DATA, id="update type"),
        pytest.param(VAA_AT, INVALID_WORMHOLE_VAA, id="vaa version"),
        pytest.param(VAA_AT + 4, INVALID_WORMHOLE_VAA, id="guardian set"),
        pytest.param(VAA_AT + 6, INVALID_WORMHOLE_VAA, id="guardian index"),
        pytest.param(VAA_AT + 7, INVALID_WORMHOLE_VAA, id="signature r"),
        pytest.param(VAA_AT + 39, INVALID_WORMHOLE_VAA, id="signature s"),
        pytest.param(VAA_AT + 71, INVALID_WORMHOLE_VAA, id="signature v"),
        pytest.param(VAA_AT + 72, INVALID_WORMHOLE_VAA, id="body time"),
        pytest.param(VAA_AT + 72 + 9, INVALID_WORMHOLE_VAA, id="emitter chain"),
        pytest.param(VAA_AT + 72 + 20, INVALID_WORMHOLE_VAA, id="emitter"),
        pytest.param(VAA_END - 1, INVALID_WORMHOLE_VAA, id="root"),
        pytest.param(MESSAGE_AT, INVALID_UPDATE_DATA, id="message type"),
        pytest.param(MESSAGE_AT + 1, INVALID_UPDATE_DATA, id="price id"),
        pytest.param(MESSAGE_AT + 40, INVALID_UPDATE_DATA, id="price"),
        pytest.param(MESSAGE_AT + 60, INVALID_UPDATE_DATA, id="publish time"),
        pytest.param(PROOF_AT, INVALID_UPDATE_DATA, id="first proof node"),
        pytest.param(PROOF_AT + 39, INVALID_UPDATE_DATA, id="last proof node"),
        pytest.param(len(GOOD) - 1, INVALID_UPDATE_DATA, id="last byte"),
    ],
)
def test_one_wrong_bit_is_refused(exchange: Exchange, at: int, error: str) -> None:
    assert {refused(exchange, flipped(GOOD, at, bit)) for bit in (0, 3, 7)} == {error}


def test_the_untouched_update_is_taken(exchange: Exchange) -> None:
    assert len(store(exchange, GOOD)) == 3


@pytest.mark.parametrize("length", [0, 3, 7, 8, 9, 10, 50, VAA_END - 1, VAA_END, VAA_END + 1, PROOF_AT, len(GOOD) - 1])
def test_a_truncated_update_is_refused(exchange: Exchange, length: int) -> None:
    assert refused(exchange, GOOD[:length]) == INVALID_UPDATE_DATA


def test_trailing_bytes_are_refused(exchange: Exchange) -> None:
    assert refused(exchange, GOOD + b"\x00") == INVALID_UPDATE_DATA


@pytest.mark.parametrize("proofs", [0, 1, 3])
def test_a_path_of_another_length_is_refused(exchange: Exchange, proofs: int) -> None:
    parsed = read(GOOD)
    first = parsed.updates[0]
    path = [*first.proof, b"\x00" * 20][:proofs]
    assert refused(exchange, blob(parsed.vaa.raw, [(first.message, path)])) == INVALID_UPDATE_DATA


def test_an_inner_node_is_no_message(exchange: Exchange) -> None:
    # Leaves and nodes are hashed under different first bytes: a node's own bytes prove nothing.
    parsed = read(GOOD)
    node = leaf_hash(parsed.updates[0].message)
    sibling, *path = parsed.updates[0].proof
    assert refused(exchange, blob(parsed.vaa.raw, [(min(node, sibling) + max(node, sibling), path)])) == (
        INVALID_UPDATE_DATA
    )


def proved(payload: bytes = b"", *, body: bytes | None = None, guardians: GuardianSet = DEVELOPMENT_GUARDIANS,
           indexes: tuple[int, ...] | None = None, content: bytes | None = None) -> bytes:  # fmt: skip
    """One message under a VAA put together by hand."""
    content = message().encode() if content is None else content
    payload = payload or root_payload(leaf_hash(content), 1)
    body = vaa_body(payload, timestamp=1, sequence=1) if body is None else body
    return blob(signed_vaa(body, guardians, indexes), [(content, [])])


def payload_of(content: bytes) -> bytes:
    return root_payload(leaf_hash(content), 1)


def test_another_emitter_is_no_source(exchange: Exchange) -> None:
    payload = payload_of(message().encode())
    chain = vaa_body(payload, timestamp=1, sequence=1, chain=PYTH_EMITTER_CHAIN + 1)
    emitter = vaa_body(payload, timestamp=1, sequence=1, emitter=b"\x01" + PYTH_EMITTER[1:])
    assert refused(exchange, proved(body=chain)) == INVALID_UPDATE_DATA_SOURCE
    assert refused(exchange, proved(body=emitter)) == INVALID_UPDATE_DATA_SOURCE
    assert len(store(exchange, proved())) == 1


def test_signed_nonsense_is_refused(exchange: Exchange) -> None:
    payload = payload_of(message().encode())
    assert refused(exchange, proved(b"XUWV" + payload[4:])) == INVALID_UPDATE_DATA
    assert refused(exchange, proved(payload[:4] + b"\x01" + payload[5:])) == INVALID_UPDATE_DATA
    assert refused(exchange, proved(payload[:-1])) == INVALID_UPDATE_DATA
    assert refused(exchange, proved(body=b"\x00" * 50)) == INVALID_WORMHOLE_VAA
    assert refused(exchange, proved(content=message().encode()[:84])) == INVALID_UPDATE_DATA
    assert refused(exchange, proved(content=b"\x01" + message().encode()[1:])) == INVALID_UPDATE_DATA
    assert refused(exchange, blob(b"", [(message().encode(), [])])) == INVALID_WORMHOLE_VAA


def test_later_minor_versions_are_taken(exchange: Exchange) -> None:
    assert len(store(exchange, proved(content=message(at=1000).encode() + b"more"))) == 1
    longer = payload_of(message(at=1001).encode()) + b"more"
    assert len(store(exchange, proved(longer, content=message(at=1001).encode()))) == 1
    plain = proved(content=message(at=1002).encode())
    assert len(store(exchange, plain[:5] + b"\x09\x03abc" + plain[7:])) == 1


def test_a_quorum_of_distinct_guardians_must_sign(exchange: Exchange) -> None:
    pyth = deploy_pyth(exchange, FOUR.index, ["0x" + address.hex() for address in FOUR.addresses])
    for indexes in ((0, 1), (0,), (0, 0, 0), (0, 1, 1), (2, 1, 0), (0, 2, 1), (1, 1, 2, 3)):
        assert refused(exchange, proved(guardians=FOUR, indexes=indexes), pyth) == INVALID_WORMHOLE_VAA, indexes
    others = GuardianSet(FOUR.index, (*FOUR.keys[:2], b"\x09" * 32))
    assert refused(exchange, proved(guardians=others, indexes=(0, 1, 2)), pyth) == INVALID_WORMHOLE_VAA
    outside = GuardianSet(FOUR.index, (*FOUR.keys, b"\x09" * 32))
    assert refused(exchange, proved(guardians=outside, indexes=(0, 1, 4)), pyth) == INVALID_WORMHOLE_VAA
    for at, indexes in ((10, (0, 1, 2)), (11, (0, 2, 3)), (12, (0, 1, 2, 3))):
        content = message(at=at).encode()
        data = blob(signed_vaa(vaa_body(payload_of(content), timestamp=1, sequence=1), FOUR, indexes), [(content, [])])
        store(exchange, data, pyth=pyth)
        assert stored(exchange, BTC_ID, pyth)[3] == at


def test_one_bad_blob_spoils_the_transaction(exchange: Exchange) -> None:
    assert refused(exchange, [GOOD, flipped(GOOD, VAA_AT + 7)]) == INVALID_WORMHOLE_VAA


def test_as_many_prices_as_fit(exchange: Exchange) -> None:
    many = encode_prices([message(i.to_bytes(32, "big")) for i in range(1, 19)])
    assert len(many) <= 4096
    events = store(exchange, many, encode_prices([message(b"\xff" * 32)]))
    assert len(events) == 19
