"""The parser against recorded updates, hand-made oddities, and whatever Hypothesis breaks."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.oracle.errors import UpdateInvalid
from app.oracle.maths.pnau import parse_price, parse_update
from app.oracle.maths.verification import verify_update
from tests.oracle.updates import (
    BTC,
    ETH,
    MAINNET,
    NOW,
    RECORDED_ANSWERS,
    RECORDED_BLOBS,
    message,
    signed,
    signed_raw,
    trust_in,
)

GOOD = RECORDED_BLOBS[0]
MINOR_AT, EXTRA_AT, KIND_AT, VAA_LENGTH_AT = 5, 6, 7, 8
MAX_I64, MAX_U64 = 2**63 - 1, 2**64 - 1


def reason_of(raw: bytes) -> str:
    """Why the parser refuses these bytes."""
    with pytest.raises(UpdateInvalid) as refused:
        parse_update(raw)
    assert refused.value.as_dict()["reason"] == refused.value.reason
    return refused.value.reason


@pytest.mark.parametrize("answer", RECORDED_ANSWERS)
def test_recorded_blobs_hold_what_hermes_says_they_hold(answer: dict) -> None:
    update = parse_update(bytes.fromhex(answer["binary"]["data"][0]))
    read = [
        {
            "id": price.feed.hex(),
            "price": {
                "price": str(price.price),
                "conf": str(price.conf),
                "expo": price.expo,
                "publish_time": price.publish_time,
            },
            "ema_price": {
                "price": str(price.ema_price),
                "conf": str(price.ema_conf),
                "expo": price.expo,
                "publish_time": price.publish_time,
            },
            "metadata": {
                "slot": update.vaa.slot,
                # When Hermes had the proof, which only Hermes knows.
                "proof_available_time": said["metadata"]["proof_available_time"],
                "prev_publish_time": price.prev_publish_time,
            },
        }
        for price, said in zip(update.prices, answer["parsed"], strict=True)
    ]
    assert read == answer["parsed"]


@pytest.mark.parametrize("value", [0, -1, 1, MAX_I64, -MAX_I64 - 1])
def test_prices_are_signed(value: int) -> None:
    assert parse_update(signed(message(price=value))).prices[0].price == value


def test_every_field_comes_from_its_own_place() -> None:
    sent = message(
        price=-2, conf=MAX_U64, expo=-5, publish_time=-3, prev_publish_time=-4, ema_price=-6, ema_conf=MAX_U64 - 1
    )
    read = parse_update(signed(sent)).prices[0]
    assert (read.feed, read.price, read.conf, read.expo, read.publish_time, read.prev_publish_time) == (
        BTC, -2, MAX_U64, -5, -3, -4,
    )  # fmt: skip
    assert (read.ema_price, read.ema_conf) == (-6, MAX_U64 - 1)


def test_a_higher_minor_version_and_its_extra_header_are_accepted() -> None:
    extended = GOOD[:MINOR_AT] + b"\x07\x03abc" + GOOD[KIND_AT:]
    update = parse_update(extended)
    assert update.minor == 7
    assert update.prices == parse_update(GOOD).prices


def test_messages_of_another_type_are_kept_but_not_read() -> None:
    update = parse_update(signed_raw([b"\x01 a time-weighted price, say", message(ETH).encode()]))
    assert [leaf.price is None for leaf in update.leaves] == [True, False]
    assert [price.feed for price in update.prices] == [ETH]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "truncated"),
        (b"PNA", "truncated"),
        (b"pnau" + GOOD[4:], "wrong_magic"),
        (GOOD[:4] + b"\x02" + GOOD[5:], "unsupported_version"),
        (GOOD[:4] + b"\x00" + GOOD[5:], "unsupported_version"),
        (GOOD[:KIND_AT] + b"\x01" + GOOD[KIND_AT + 1 :], "unsupported_update_type"),
        (GOOD[:10] + b"\x02" + GOOD[11:], "unsupported_vaa_version"),
        (GOOD + b"\x00", "trailing_bytes"),
        (GOOD[:-1], "truncated"),
        (signed_raw([message().encode() + b"\x00"]), "price_message_length"),
        (signed_raw([message().encode()[:-1]]), "price_message_length"),
        (signed_raw([b""]), "empty_message"),
        (signed_raw([message().encode()], payload=b"AUWX" + bytes(33)), "wrong_payload_magic"),
        (signed_raw([message().encode()], payload=b"AUWV\x01" + bytes(32)), "unsupported_payload_type"),
        (signed_raw([message().encode()], payload=b"AUWV" + bytes(34)), "payload_trailing_bytes"),
        (signed_raw([message().encode()], payload=b"AUWV" + bytes(32)), "truncated"),
    ],
)
def test_malformed_updates_are_refused_with_their_reason(raw: bytes, reason: str) -> None:
    assert reason_of(raw) == reason


def test_a_price_message_of_another_type_is_not_read_as_one() -> None:
    with pytest.raises(UpdateInvalid):
        parse_price(b"\x01" + message().encode()[1:])


@given(st.integers(0, len(GOOD) - 1))
def test_no_truncation_parses(length: int) -> None:
    reason_of(GOOD[:length])


@given(st.integers(0, 8 * len(GOOD) - 1))
def test_no_flipped_bit_survives(bit: int) -> None:
    """Any bit but the minor version's, which the declared rule accepts without changing what is read."""
    broken = bytearray(GOOD)
    broken[bit // 8] ^= 1 << bit % 8
    if bit // 8 == MINOR_AT:
        assert verify_update(parse_update(bytes(broken)), MAINNET, NOW).prices
        return
    with pytest.raises(UpdateInvalid):
        verify_update(parse_update(bytes(broken)), MAINNET, NOW)


@given(st.binary(max_size=300), st.sampled_from([b"", b"PNAU\x01\x00\x00\x00", GOOD[:500], GOOD[:-60]]))
def test_any_bytes_at_all_give_an_update_or_a_refusal(tail: bytes, head: bytes) -> None:
    with contextlib.suppress(UpdateInvalid):
        assert parse_update(head + tail).raw == head + tail


@given(
    st.lists(
        st.builds(
            message,
            feed=st.binary(min_size=32, max_size=32),
            price=st.integers(-MAX_I64 - 1, MAX_I64),
            conf=st.integers(0, MAX_U64),
            expo=st.integers(-12, 0),
            publish_time=st.integers(0, 2**32),
        ),
        min_size=1,
        max_size=12,
        unique_by=lambda sent: sent.price_id,
    )
)
def test_what_an_independent_encoder_signs_is_what_is_read(sent: list) -> None:
    verified = verify_update(parse_update(signed(*sent)), trust_in(), NOW)
    read = [(p.feed, p.price, p.conf, p.expo, int(p.publish_time.timestamp())) for p in verified.prices]
    assert read == [(m.price_id, m.price, m.conf, m.expo, m.publish_time) for m in sent]
