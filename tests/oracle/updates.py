"""Recorded updates with the set that signed them, and updates signed here, by the encoder of the local chain."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from eth_hash.auto import keccak

from app.oracle.types.updates import SignerSet, Trust
from contracts import pnau
from contracts.guardians import PYTH_EMITTER, PYTH_EMITTER_CHAIN, GuardianSet

DATA = Path(__file__).parent / "data"
RECORDED: dict[str, Any] = json.loads((DATA / "hermes_v2_responses.json").read_text())
GUARDIAN_SET_4: dict[str, Any] = json.loads((DATA / "guardian_set_4.json").read_text())

MAINNET = Trust(
    signers=SignerSet(
        signers=tuple(bytes.fromhex(address[2:]) for address in GUARDIAN_SET_4["addresses"]),
        quorum=13,
        index=4,
    ),
    emitter_chain=PYTH_EMITTER_CHAIN,
    emitter=PYTH_EMITTER,
)
RECORDED_ANSWERS: list[dict[str, Any]] = [RECORDED["latest_price_updates"], *RECORDED["stream"]]
RECORDED_BLOBS = [bytes.fromhex(answer["binary"]["data"][0]) for answer in RECORDED_ANSWERS]
RECORDED_AT = datetime.fromtimestamp(1714746101, UTC)

BTC, ETH, SOL = (bytes([number]) * 32 for number in (0xB7, 0xE7, 0x50))
AT = 1_800_000_000
NOW = datetime.fromtimestamp(AT, UTC)
SEVEN = GuardianSet(index=9, keys=tuple(keccak(bytes([number])) for number in range(7)))


def trust_in(guardians: GuardianSet = SEVEN, **changes: Any) -> Trust:
    """Trust in a test set; its quorum is Wormhole's."""
    options: dict[str, Any] = {
        "signers": guardians.addresses,
        "quorum": guardians.quorum,
        "index": guardians.index,
    }
    return Trust(SignerSet(**(options | changes)), PYTH_EMITTER_CHAIN, PYTH_EMITTER)


def message(feed: bytes = BTC, price: int = 6_140_993_501_000, **changes: Any) -> pnau.PriceMessage:
    """A price message as the publishers would send it at `AT`."""
    options: dict[str, Any] = {
        "conf": 3_287_868_567,
        "expo": -8,
        "publish_time": AT,
        "prev_publish_time": AT - 1,
        "ema_price": price,
        "ema_conf": 1,
    }
    return pnau.PriceMessage(price_id=feed, price=price, **(options | changes))


def signed(*messages: pnau.PriceMessage, guardians: GuardianSet = SEVEN, slot: int = 5) -> bytes:
    """The blob of these messages."""
    return pnau.Accumulator(messages, slot=slot, timestamp=AT, guardians=guardians).encode()


def signed_raw(
    leaves: Iterable[bytes],
    *,
    guardians: GuardianSet = SEVEN,
    indexes: tuple[int, ...] | None = None,
    **body: Any,
) -> bytes:
    """A blob of any bytes as messages, with a VAA as odd as the test wants it."""
    encoded = list(leaves)
    levels = pnau.merkle_levels(encoded)
    payload = body.pop("payload", None) or pnau.root_payload(levels[-1][0], 5)
    vaa = pnau.signed_vaa(pnau.vaa_body(payload, timestamp=AT, sequence=77, **body), guardians, indexes)
    return pnau.blob(vaa, [(leaf, pnau.merkle_proof(levels, place)) for place, leaf in enumerate(encoded)])
