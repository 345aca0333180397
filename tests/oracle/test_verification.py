"""Whose updates count: recorded mainnet signatures, and every way in which a signed update can be wrong."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from coincurve import PrivateKey, PublicKey
from eth_hash.auto import keccak

from app.oracle.errors import PriceFromTheFuture, PriceStale, UpdateInvalid
from app.oracle.maths.pnau import parse_update
from app.oracle.maths.verification import require_window, verify_answer, verify_update
from app.oracle.types.updates import Signature, Trust, Window
from contracts import pnau
from contracts.guardians import GuardianSet
from tests.oracle.updates import (
    AT,
    BTC,
    ETH,
    MAINNET,
    NOW,
    RECORDED_ANSWERS,
    RECORDED_AT,
    RECORDED_BLOBS,
    SEVEN,
    SOL,
    message,
    signed,
    signed_raw,
    trust_in,
)


def reason_of(raw: bytes, trust: Trust, now: datetime = NOW) -> str:
    """Why verification refuses these bytes."""
    with pytest.raises(UpdateInvalid) as refused:
        verify_update(parse_update(raw), trust, now)
    return refused.value.reason


@pytest.mark.parametrize("raw", RECORDED_BLOBS)
def test_thirteen_mainnet_guardians_signed_each_recorded_update(raw: bytes) -> None:
    update = parse_update(raw)
    verified = verify_update(update, MAINNET, RECORDED_AT)
    assert len(verified.signers) == len(set(verified.signers)) == 13
    assert set(verified.signers) <= set(MAINNET.signers.signers)
    assert verified.slot == update.vaa.slot
    assert verified.sequence == update.vaa.sequence
    assert verified.raw == raw


def test_the_result_says_what_was_signed_and_where_it_stands() -> None:
    verified = verify_update(parse_update(RECORDED_BLOBS[0]), MAINNET, RECORDED_AT)
    said = RECORDED_ANSWERS[0]["parsed"][0]
    first = verified.prices[0]
    assert (first.feed.hex(), str(first.price), str(first.conf), first.expo) == (
        said["id"], said["price"]["price"], said["price"]["conf"], -8,
    )  # fmt: skip
    assert first.publish_time == datetime(2024, 5, 3, 14, 21, 41, tzinfo=UTC)
    assert (first.slot, verified.sequence) == (138881186, 54340314)


def test_another_set_s_guardians_are_not_these() -> None:
    # Set 4 differs from set 3 in its first member, who signed the recorded update.
    jump = bytes.fromhex("58cc3ae5c097b213ce3c81979e1b9f9570746aa5")
    signers = replace(MAINNET.signers, signers=(jump, *MAINNET.signers.signers[1:]))
    assert reason_of(RECORDED_BLOBS[0], replace(MAINNET, signers=signers)) == "wrong_signer"


@pytest.mark.parametrize(
    ("trust", "reason"),
    [
        (trust_in(index=8), "unknown_signer_set"),
        (trust_in(expires_at=NOW - timedelta(seconds=1)), "signer_set_expired"),
        (replace(trust_in(), emitter_chain=1), "wrong_emitter"),
        (replace(trust_in(), emitter=bytes(32)), "wrong_emitter"),
        (trust_in(quorum=6), "no_quorum"),
        (trust_in(signers=SEVEN.addresses[:4]), "signer_out_of_range"),
        (trust_in(signers=SEVEN.addresses[::-1]), "wrong_signer"),
        (trust_in(signers=(), quorum=1), "signer_out_of_range"),
    ],
)
def test_trust_decides(trust: Trust, reason: str) -> None:
    raw = signed(message())
    assert verify_update(parse_update(raw), trust_in(), NOW).prices
    assert reason_of(raw, trust) == reason


def test_a_set_without_index_or_until_its_last_moment_is_accepted() -> None:
    update = parse_update(signed(message()))
    assert verify_update(update, trust_in(index=None), NOW).prices
    assert verify_update(update, trust_in(expires_at=NOW), NOW).prices


def test_every_signature_counts_also_those_above_the_quorum() -> None:
    everybody = parse_update(signed_raw([message().encode()], indexes=tuple(range(7))))
    assert len(verify_update(everybody, trust_in(), NOW).signers) == 7
    last = everybody.vaa.signatures[-1]
    forged = Signature(last.signer, everybody.vaa.signatures[0].rs, last.recovery)
    vaa = replace(everybody.vaa, signatures=(*everybody.vaa.signatures[:-1], forged))
    with pytest.raises(UpdateInvalid, match="wrong signer"):
        verify_update(replace(everybody, vaa=vaa), trust_in(), NOW)


@pytest.mark.parametrize("indexes", [(0, 1, 2, 3, 3), (1, 0, 2, 3, 4), (0, 0, 0, 0, 0)])
def test_one_guardian_counts_once_and_in_order(indexes: tuple[int, ...]) -> None:
    assert reason_of(signed_raw([message().encode()], indexes=indexes), trust_in()) == "signers_not_ascending"


@pytest.mark.parametrize(
    ("rs", "recovery"),
    [
        (bytes(64), 0),
        (b"\xff" * 64, 1),
        (None, 2),
        (None, 27),
        (None, 255),
    ],
)
def test_signatures_that_are_none(rs: bytes | None, recovery: int) -> None:
    update = parse_update(signed(message()))
    first = update.vaa.signatures[0]
    broken = Signature(first.signer, first.rs if rs is None else rs, recovery)
    vaa = replace(update.vaa, signatures=(broken, *update.vaa.signatures[1:]))
    with pytest.raises(UpdateInvalid) as refused:
        verify_update(replace(update, vaa=vaa), trust_in(), NOW)
    assert refused.value.reason == "bad_signature"


def test_a_recovery_id_that_the_chain_does_not_know_is_refused_though_a_key_can_be_recovered() -> None:
    """Ids 2 and 3 stand for an x beyond the curve's order: libsecp256k1 takes them, ecrecover does not."""
    update = parse_update(signed(message()))
    digest = keccak(keccak(update.vaa.body))
    for r in range(1, 50):
        rs = r.to_bytes(32, "big") + (1).to_bytes(32, "big")
        with contextlib.suppress(ValueError):
            key = PublicKey.from_signature_and_message(rs + b"\x02", digest, hasher=None)
            break
    address = keccak(key.format(compressed=False)[1:])[-20:]
    vaa = replace(update.vaa, signatures=(Signature(0, rs, 2),))
    with pytest.raises(UpdateInvalid) as refused:
        verify_update(replace(update, vaa=vaa), trust_in(signers=(address,), quorum=1), NOW)
    assert refused.value.reason == "bad_signature"


def test_a_stranger_s_key_signs_nothing() -> None:
    stranger = GuardianSet(index=SEVEN.index, keys=tuple(PrivateKey().secret for _ in range(7)))
    assert reason_of(signed(message(), guardians=stranger), trust_in()) == "wrong_signer"


def test_a_message_from_outside_the_tree_is_refused_though_the_root_is_signed() -> None:
    raw = signed(message(BTC), message(ETH))
    assert reason_of(raw.replace(message(ETH).encode(), message(ETH, price=1).encode()), trust_in()) == "merkle_path"


def test_the_path_of_a_message_of_another_type_is_checked_too() -> None:
    other = b"\x01 a time-weighted price"
    raw = signed_raw([other, message().encode()])
    assert verify_update(parse_update(raw), trust_in(), NOW).prices[0].feed == BTC
    assert reason_of(raw.replace(other, b"\x02" + other[1:]), trust_in()) == "merkle_path"


def test_a_node_cannot_pass_for_a_message() -> None:
    """Leaves and nodes are hashed with different prefixes, so the inside of the tree proves nothing."""
    levels = pnau.merkle_levels([message(BTC).encode(), message(ETH).encode()])
    vaa = pnau.signed_vaa(pnau.vaa_body(pnau.root_payload(levels[-1][0], 5), timestamp=AT, sequence=1), SEVEN)
    children = min(levels[0]) + max(levels[0])
    assert reason_of(pnau.blob(vaa, [(b"\x01" + children, [])]), trust_in()) == "merkle_path"
    assert reason_of(pnau.blob(vaa, [(children, [])]), trust_in()) in ("merkle_path", "price_message_length")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"expo": -37}, "expo_out_of_range"),
        ({"expo": 19}, "expo_out_of_range"),
        ({"expo": 2**31 - 1}, "expo_out_of_range"),
        ({"publish_time": -1}, "publish_time_out_of_range"),
        ({"publish_time": 2**63 - 1}, "publish_time_out_of_range"),
    ],
)
def test_signed_nonsense_is_refused(changes: dict[str, int], reason: str) -> None:
    assert reason_of(signed(message(**changes)), trust_in()) == reason


@pytest.mark.parametrize(
    ("blobs", "asked", "reason"),
    [
        ([signed(message(BTC))], [BTC, ETH], "feed_absent"),
        ([signed(message(BTC), message(ETH))], [BTC], "feed_not_asked_for"),
        ([signed(message(BTC)), signed(message(BTC), slot=6)], [BTC], "feed_twice"),
        ([signed_raw([message(BTC).encode(), message(BTC).encode()])], [BTC], "feed_twice"),
        ([], [BTC], "feed_absent"),
        ([signed(message(BTC)), signed_raw([message(ETH).encode()], emitter=bytes(32))], [BTC, ETH], "wrong_emitter"),
    ],
)
def test_each_asked_feed_is_there_exactly_once(blobs: list[bytes], asked: list[bytes], reason: str) -> None:
    with pytest.raises(UpdateInvalid) as refused:
        verify_answer([parse_update(blob) for blob in blobs], asked, trust_in(), NOW)
    assert refused.value.reason == reason


def test_an_answer_may_come_in_several_slots() -> None:
    updates = [parse_update(signed(message(BTC), message(SOL))), parse_update(signed(message(ETH), slot=6))]
    verified = verify_answer(updates, [BTC, ETH, SOL], trust_in(), NOW)
    assert [(price.feed, price.slot) for update in verified for price in update.prices] == [
        (BTC, 5),
        (SOL, 5),
        (ETH, 6),
    ]


@pytest.mark.parametrize(
    ("publish_time", "error"),
    [
        (AT - 60, None),
        (AT - 61, PriceStale),
        (AT + 5, None),
        (AT + 6, PriceFromTheFuture),
    ],
)
def test_the_window_includes_both_ends(publish_time: int, error: type[Exception] | None) -> None:
    verified = verify_update(parse_update(signed(message(publish_time=publish_time))), trust_in(), NOW)
    window = Window(max_age_seconds=60, max_future_seconds=5)
    if error is None:
        require_window(verified.prices, window, NOW)
    else:
        with pytest.raises(error):
            require_window(verified.prices, window, NOW)
