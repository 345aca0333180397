"""The encoder against real updates, and against its own reader for every number of feeds."""

from __future__ import annotations

from functools import reduce
from typing import Any

import pytest
from coincurve import PublicKey
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.guardians import DEVELOPMENT_GUARDIANS, GuardianSet
from contracts.pnau import (
    Accumulator,
    PriceMessage,
    blob,
    encode_prices,
    leaf_hash,
    merkle_levels,
    node_hash,
    root_payload,
    signed_vaa,
    vaa_body,
)
from tests.contracts.pnau_reader import Update, Vaa, read
from tests.contracts.real import ANSWERS, BLOBS, GUARDIAN_SET_4


def proves(update: Update, root: bytes) -> bool:
    return reduce(node_hash, update.proof, leaf_hash(update.message)) == root


def signers(vaa: Vaa) -> dict[int, str]:
    digest = keccak(keccak(vaa.body))
    keys = {i: PublicKey.from_signature_and_message(rest, digest, hasher=None) for i, rest in vaa.signatures}
    return {i: "0x" + keccak(key.format(compressed=False)[1:])[-20:].hex() for i, key in keys.items()}


@pytest.mark.parametrize(
    ("data", "answer"), list(zip(BLOBS, ANSWERS, strict=True)), ids=["latest", "stream-1", "stream-2"]
)
class TestRealUpdates:
    """Whatever the encoder makes of a real update's contents is that update, byte for byte."""

    def test_the_whole_blob_is_made_again(self, data: bytes, answer: dict[str, Any]) -> None:
        parsed = read(data)
        assert blob(parsed.vaa.raw, [(update.message, update.proof) for update in parsed.updates]) == data

    def test_messages_are_made_again_and_say_what_hermes_says(self, data: bytes, answer: dict[str, Any]) -> None:
        updates = read(data).updates
        assert len(updates) == len(answer["parsed"])
        for update, said in zip(updates, answer["parsed"], strict=True):
            price = update.price
            assert price.encode() == update.message
            assert price.price_id.hex() == said["id"]
            assert (price.price, price.conf) == (int(said["price"]["price"]), int(said["price"]["conf"]))
            assert (price.expo, price.publish_time) == (said["price"]["expo"], said["price"]["publish_time"])
            assert (price.ema_price, price.ema_conf) == (
                int(said["ema_price"]["price"]),
                int(said["ema_price"]["conf"]),
            )
            assert price.prev_publish_time == said["metadata"]["prev_publish_time"]

    def test_leaves_nodes_and_payload_hash_to_the_signed_root(self, data: bytes, answer: dict[str, Any]) -> None:
        parsed = read(data)
        assert root_payload(parsed.vaa.root, parsed.vaa.slot) == parsed.vaa.payload
        assert parsed.vaa.slot == answer["parsed"][0]["metadata"]["slot"]
        assert all(proves(update, parsed.vaa.root) for update in parsed.updates)

    def test_the_body_is_made_again_and_real_guardians_signed_it(self, data: bytes, answer: dict[str, Any]) -> None:
        vaa = read(data).vaa
        time, sequence = (int.from_bytes(vaa.body[a:b], "big") for a, b in ((0, 4), (42, 50)))
        assert vaa_body(vaa.payload, timestamp=time, sequence=sequence) == vaa.body
        found = signers(vaa)
        assert len(found) == 13
        assert found == {i: GUARDIAN_SET_4[i].lower() for i in found}


def message(i: int, price: int = 1) -> PriceMessage:
    return PriceMessage(i.to_bytes(32, "big"), price, 2, -8, 1000, 999, 3, 4)


@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 8, 100, 255])
def test_every_message_of_any_tree_is_proved_and_signed(count: int) -> None:
    messages = [message(i) for i in range(count)]
    parsed = read(encode_prices(messages))
    assert [update.price for update in parsed.updates] == messages
    assert all(proves(update, parsed.vaa.root) for update in parsed.updates)
    # The shortest proofs there can be: none for one feed, eight nodes for 255.
    assert {len(update.proof) for update in parsed.updates} == {(count - 1).bit_length()}
    assert signers(parsed.vaa) == {0: "0x" + DEVELOPMENT_GUARDIANS.addresses[0].hex()}


@pytest.mark.parametrize("count", [0, 256])
def test_no_update_holds_none_or_more_than_255(count: int) -> None:
    with pytest.raises(ValueError, match=f"not {count}"):
        blob(b"", [(b"", [])] * count)


@settings(max_examples=30, deadline=None)
@given(
    st.builds(
        PriceMessage,
        price_id=st.binary(min_size=32, max_size=32),
        price=st.integers(-(2**63), 2**63 - 1),
        conf=st.integers(0, 2**64 - 1),
        expo=st.integers(-(2**31), 2**31 - 1),
        publish_time=st.integers(-(2**63), 2**63 - 1),
        prev_publish_time=st.integers(-(2**63), 2**63 - 1),
        ema_price=st.integers(-(2**63), 2**63 - 1),
        ema_conf=st.integers(0, 2**64 - 1),
    )
)
def test_any_message_reads_back(price: PriceMessage) -> None:
    assert len(price.encode()) == 85
    assert Update(price.encode(), []).price == price


def test_a_selection_keeps_the_asked_order_under_the_whole_tree_s_root() -> None:
    messages = [message(i) for i in range(5)]
    accumulator = Accumulator(messages, slot=9, timestamp=1000)
    parsed = read(accumulator.encode([messages[4].price_id, messages[1].price_id]))
    assert [update.price for update in parsed.updates] == [messages[4], messages[1]]
    assert parsed.vaa.root == merkle_levels([each.encode() for each in messages])[-1][0]
    assert all(proves(update, parsed.vaa.root) for update in parsed.updates)
    with pytest.raises(KeyError):
        accumulator.encode([b"\xff" * 32])


def test_a_guardian_set_signs_by_its_quorum() -> None:
    guardians = GuardianSet(7, tuple(bytes([i]) * 32 for i in range(1, 5)))
    vaa = read(blob(signed_vaa(vaa_body(b"", timestamp=1, sequence=1), guardians), [(message(0).encode(), [])])).vaa
    assert vaa.guardian_set == 7
    assert signers(vaa) == {i: "0x" + guardians.addresses[i].hex() for i in range(3)}
