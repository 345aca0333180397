"""Every recorded payload with something wrong in it, byte by byte: refused, and for a reason that fits the place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from app.oracle.errors import PriceFromTheFuture, PriceStale, UpdateInvalid
from app.oracle.maths.pnau import parse_update
from app.oracle.maths.verification import require_window, verify_answer
from app.oracle.types.updates import Trust, Window
from tests.oracle.updates import MAINNET, RECORDED_AT, RECORDED_BLOBS

WINDOW = Window(max_age_seconds=3600, max_future_seconds=5)
FORM = {
    "truncated",
    "trailing_bytes",
    "payload_trailing_bytes",
    "unsupported_update_type",
    "unsupported_vaa_version",
    "wrong_payload_magic",
    "unsupported_payload_type",
    "empty_message",
    "price_message_length",
}
"""What may come of a length that no longer fits: the parts after it are read from the wrong places."""
UNSIGNED = {"wrong_signer", "bad_signature"}
ORDER = {"signers_not_ascending", "signer_out_of_range", "wrong_signer"}
# A count of signatures shifts the body, and where that still has the form of one, somebody else's body is not signed.
COUNT = FORM | UNSIGNED | ORDER | {"no_quorum", "wrong_emitter", "unknown_signer_set"}

Region = tuple[str, int, set[str]]


def regions(blob: bytes) -> Iterator[Region]:
    """The parts of an update in their order: name, length in bytes, and why a change in it may be refused."""
    update = parse_update(blob)
    yield "magic", 4, {"wrong_magic"}
    yield "major version", 1, {"unsupported_version"}
    yield "minor version", 1, set()  # a newer one is accepted, by the format's own rule
    yield "length of the extra header", 1, FORM
    yield "update type", 1, {"unsupported_update_type"}
    yield "length of the signed message", 2, FORM
    yield "version of the signed message", 1, {"unsupported_vaa_version"}
    yield "signer set", 4, {"unknown_signer_set"}
    yield "number of signatures", 1, COUNT
    for _ in update.vaa.signatures:
        yield "signer's place", 1, ORDER
        yield "signature", 64, UNSIGNED
        yield "recovery id", 1, UNSIGNED
    yield "timestamp and nonce", 8, UNSIGNED
    yield "emitter", 34, {"wrong_emitter"}
    yield "sequence and consistency", 9, UNSIGNED
    yield "payload's magic", 4, {"wrong_payload_magic"}
    yield "payload's type", 1, {"unsupported_payload_type"}
    yield "slot, ring and root", 32, UNSIGNED
    yield "number of messages", 1, FORM
    for leaf in update.leaves:
        yield "length of the message", 2, FORM | {"merkle_path"}
        yield "message's type", 1, {"merkle_path"}
        yield "message", len(leaf.message) - 1, {"merkle_path"}
        yield "length of the path", 1, FORM | {"merkle_path"}
        yield "path", 20 * len(leaf.path), {"merkle_path"}


def check(blob: bytes, mask: int) -> list[tuple[str, int, str | None]]:
    """What is refused for a reason of another place, or not at all, when each byte in turn is changed by `mask`."""
    feeds = {price.feed for price in parse_update(blob).prices}
    wrong: list[tuple[str, int, str | None]] = []
    at = 0
    for name, length, reasons in regions(blob):
        for place in range(at, at + length):
            tampered = bytearray(blob)
            tampered[place] ^= mask
            try:
                verify_answer([parse_update(bytes(tampered))], feeds, MAINNET, RECORDED_AT)
                found = None
            except UpdateInvalid as error:
                found = error.reason
            if found not in reasons and not (found is None and not reasons):
                wrong.append((name, place, found))
        at += length
    assert at == len(blob), "the regions are the whole"
    return wrong


@pytest.mark.parametrize("blob", RECORDED_BLOBS, ids=["latest", "stream 1", "stream 2"])
@pytest.mark.parametrize("mask", [0x01, 0x80])
def test_no_byte_of_a_recorded_update_may_change(blob: bytes, mask: int) -> None:
    assert check(blob, mask) == []


def test_no_byte_may_be_lost_or_added_anywhere() -> None:
    blob = RECORDED_BLOBS[1]
    feeds = {price.feed for price in parse_update(blob).prices}
    for place in range(len(blob)):
        for tampered in (blob[:place] + blob[place + 1 :], blob[:place] + b"\x00" + blob[place:]):
            if tampered == blob:
                continue
            with pytest.raises(UpdateInvalid):
                verify_answer([parse_update(tampered)], feeds, MAINNET, RECORDED_AT)
    for tail in (b"\x00", blob, b"PNAU"):
        with pytest.raises(UpdateInvalid, match="trailing bytes"):
            parse_update(blob + tail)


def trusting(**changes: object) -> Trust:
    return replace(MAINNET, signers=replace(MAINNET.signers, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("blob", RECORDED_BLOBS, ids=["latest", "stream 1", "stream 2"])
@pytest.mark.parametrize(
    ("trust", "reason"),
    [
        (trusting(index=5), "unknown_signer_set"),
        (trusting(signers=MAINNET.signers.signers[::-1]), "wrong_signer"),
        (trusting(signers=MAINNET.signers.signers[:10]), "signer_out_of_range"),
        (trusting(quorum=14), "no_quorum"),
        (trusting(expires_at=RECORDED_AT - timedelta(seconds=1)), "signer_set_expired"),
        (replace(MAINNET, emitter=bytes(32)), "wrong_emitter"),
        (replace(MAINNET, emitter_chain=1), "wrong_emitter"),
    ],
)
def test_whom_we_trust_decides_and_says_why(blob: bytes, trust: Trust, reason: str) -> None:
    feeds = {price.feed for price in parse_update(blob).prices}
    with pytest.raises(UpdateInvalid) as refused:
        verify_answer([parse_update(blob)], feeds, trust, RECORDED_AT)
    assert refused.value.reason == reason


@pytest.mark.parametrize("blob", RECORDED_BLOBS, ids=["latest", "stream 1", "stream 2"])
def test_the_time_of_a_recorded_update_is_judged(blob: bytes) -> None:
    prices = verify_answer(
        [parse_update(blob)], {price.feed for price in parse_update(blob).prices}, MAINNET, RECORDED_AT
    )[0].prices
    at = prices[0].publish_time
    require_window(prices, WINDOW, at)
    require_window(prices, WINDOW, at - timedelta(seconds=5))
    with pytest.raises(PriceFromTheFuture):
        require_window(prices, WINDOW, at - timedelta(seconds=5, microseconds=1))
    with pytest.raises(PriceStale):
        require_window(prices, WINDOW, at + timedelta(seconds=3600, microseconds=1))


def test_the_root_of_another_recorded_update_proves_nothing() -> None:
    """A good signature over one tree, and the messages and paths of another."""
    first, second = (parse_update(blob) for blob in RECORDED_BLOBS[1:])
    vaa_at, vaa_length = 10, int.from_bytes(RECORDED_BLOBS[1][8:10], "big")
    spliced = RECORDED_BLOBS[1][: vaa_at + vaa_length] + RECORDED_BLOBS[2][vaa_at + vaa_length :]
    mixed = parse_update(spliced)
    assert (mixed.vaa, mixed.leaves) == (first.vaa, second.leaves)
    with pytest.raises(UpdateInvalid, match="merkle path"):
        verify_answer([mixed], {price.feed for price in second.prices}, MAINNET, RECORDED_AT)
