"""An encoder of Pyth accumulator updates (PNAU): prices, a Merkle tree over them, and a VAA that signs its root.

The layout is written out at the head of `dev_pyth.vy`. Everything is big-endian; hashes are keccak cut to 20 bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

from eth_hash.auto import keccak

from contracts.guardians import DEVELOPMENT_GUARDIANS, PYTH_EMITTER, PYTH_EMITTER_CHAIN, GuardianSet

MAX_UPDATES = 255
RING_SIZE = 10_000
_EMPTY_LEAF = keccak(b"\x02")[:20]


@dataclass(frozen=True)
class PriceMessage:
    """One feed's price: `price`, `conf` and their averages in units of 10**expo, times in Unix seconds."""

    price_id: bytes
    price: int
    conf: int
    expo: int
    publish_time: int
    prev_publish_time: int
    ema_price: int
    ema_conf: int

    def encode(self) -> bytes:
        """The 85 bytes that are a leaf of the tree; the price is signed."""
        return struct.pack(
            ">B32sqQiqqqQ",
            0,
            self.price_id,
            self.price,
            self.conf,
            self.expo,
            self.publish_time,
            self.prev_publish_time,
            self.ema_price,
            self.ema_conf,
        )


def leaf_hash(message: bytes) -> bytes:
    """A message's leaf."""
    return keccak(b"\x00" + message)[:20]


def node_hash(one: bytes, other: bytes) -> bytes:
    """Two nodes' parent; their order does not matter, so a proof needs no directions."""
    return keccak(b"\x01" + min(one, other) + max(one, other))[:20]


def merkle_levels(messages: Sequence[bytes]) -> list[list[bytes]]:
    """The tree from the leaves to the root alone, the leaves filled up with empty ones to a power of two."""
    level = [leaf_hash(message) for message in messages]
    width = 1 << (len(level) - 1).bit_length()
    level += [_EMPTY_LEAF] * (width - len(level))
    levels = [level]
    while len(level) > 1:
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
        levels.append(level)
    return levels


def merkle_proof(levels: list[list[bytes]], index: int) -> list[bytes]:
    """The siblings of leaf `index`, from the leaf's own up."""
    return [level[(index >> depth) ^ 1] for depth, level in enumerate(levels[:-1])]


def root_payload(root: bytes, slot: int) -> bytes:
    """What the guardians attest: this root, at this slot."""
    return b"AUWV" + struct.pack(">BQI", 0, slot, RING_SIZE) + root


def vaa_body(
    payload: bytes, *, timestamp: int, sequence: int, chain: int = PYTH_EMITTER_CHAIN, emitter: bytes = PYTH_EMITTER
) -> bytes:
    """A Wormhole message body from `emitter`."""
    return struct.pack(">IIH32sQB", timestamp, 0, chain, emitter, sequence, 1) + payload


def signed_vaa(body: bytes, guardians: GuardianSet, indexes: tuple[int, ...] | None = None) -> bytes:
    """The body under the guardians' signatures (a quorum of them, or the ones at `indexes`)."""
    signatures = guardians.sign(keccak(keccak(body)), indexes)
    return struct.pack(">BIB", 1, guardians.index, len(signatures) // 66) + signatures + body


def blob(vaa: bytes, updates: Sequence[tuple[bytes, Sequence[bytes]]]) -> bytes:
    """The PNAU bytes of these (message, proof) pairs under `vaa`."""
    if not 1 <= len(updates) <= MAX_UPDATES:
        raise ValueError(f"an update holds 1 to {MAX_UPDATES} messages, not {len(updates)}")
    parts = [b"PNAU\x01\x00\x00\x00", struct.pack(">H", len(vaa)), vaa, bytes([len(updates)])]
    for message, proof in updates:
        parts += [struct.pack(">H", len(message)), message, bytes([len(proof)]), *proof]
    return b"".join(parts)


@dataclass(frozen=True)
class Accumulator:
    """All messages of one slot under one signed root; `encode` hands out any of them with their proofs."""

    messages: Sequence[PriceMessage]
    slot: int
    timestamp: int
    guardians: GuardianSet = DEVELOPMENT_GUARDIANS
    vaa: bytes = field(init=False)
    _encoded: list[bytes] = field(init=False)
    _levels: list[list[bytes]] = field(init=False)

    def __post_init__(self) -> None:
        encoded = [message.encode() for message in self.messages]
        levels = merkle_levels(encoded)
        body = vaa_body(root_payload(levels[-1][0], self.slot), timestamp=self.timestamp, sequence=self.slot)
        object.__setattr__(self, "_encoded", encoded)
        object.__setattr__(self, "_levels", levels)
        object.__setattr__(self, "vaa", signed_vaa(body, self.guardians))

    def encode(self, price_ids: Sequence[bytes] | None = None) -> bytes:
        """The PNAU bytes of these feeds, in this order (of all feeds when none are named); KeyError for another."""
        places = {message.price_id: i for i, message in enumerate(self.messages)}
        chosen = list(places.values()) if price_ids is None else [places[price_id] for price_id in price_ids]
        return blob(self.vaa, [(self._encoded[i], merkle_proof(self._levels, i)) for i in chosen])


def encode_prices(
    messages: Sequence[PriceMessage], *, slot: int = 1, guardians: GuardianSet = DEVELOPMENT_GUARDIANS
) -> bytes:
    """The PNAU bytes of these prices alone: one tree, one signature set, every message proved."""
    newest = max(message.publish_time for message in messages)
    return Accumulator(messages, slot=slot, timestamp=newest, guardians=guardians).encode()
