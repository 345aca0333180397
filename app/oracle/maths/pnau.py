"""Takes a Pyth accumulator update (`PNAU`, "Wormhole Merkle") apart. Checks its form only; `verification` checks trust.

The layout, big-endian, as written by Hermes and read by the Pyth contracts (pyth-network/pyth-crosschain):

    "PNAU" major:u8 minor:u8 extra:u8+bytes kind:u8=0 vaa:u16+bytes count:u8 {message:u16+bytes path:u8 {node:20}}
    vaa      version:u8=1 set:u32 n:u8 {signer:u8 r:32 s:32 v:u8} body
    body     timestamp:u32 nonce:u32 chain:u16 emitter:32 sequence:u64 consistency:u8 payload
    payload  "AUWV" kind:u8=0 slot:u64 ring:u32 root:20
    message  type:u8=0 id:32 price:i64 conf:u64 expo:i32 publish:i64 previous:i64 ema:i64 ema_conf:u64   (85 bytes)

Declared rules: the major version must be 1 and any minor one is accepted, because a newer minor one may only add to
`extra`, which is skipped. A message of another type is kept as bytes and its path is still checked. Nothing may follow
the last part, of the whole or of a part. O(bytes) in time and space; a blob is at most 255 messages.
"""

from __future__ import annotations

from app.oracle.errors import UpdateInvalid
from app.oracle.types.updates import Leaf, ParsedUpdate, PriceMessage, Signature, Vaa

MAGIC = b"PNAU"
PAYLOAD_MAGIC = b"AUWV"
MAJOR = 1
WORMHOLE_MERKLE = 0
VAA_VERSION = 1
PRICE_MESSAGE = 0
PRICE_MESSAGE_BYTES = 85
HASH_BYTES = 20


class Cursor:
    """Reads a byte string from left to right; a read past its end is an UpdateInvalid, never an IndexError."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        end = self.at + size
        if end > len(self.data):
            raise UpdateInvalid("truncated")
        part = self.data[self.at : end]
        self.at = end
        return part

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(len(self.data) - self.at)

    def unsigned(self, size: int) -> int:
        """The next `size` bytes as an unsigned integer."""
        return int.from_bytes(self.take(size), "big")

    def signed(self, size: int) -> int:
        """The next `size` bytes as a two's complement integer."""
        return int.from_bytes(self.take(size), "big", signed=True)

    def expect(self, wanted: bytes, reason: str) -> None:
        """The next bytes must be `wanted`."""
        if self.take(len(wanted)) != wanted:
            raise UpdateInvalid(reason)

    def expect_byte(self, wanted: int, reason: str) -> None:
        """The next byte must be `wanted`."""
        self.expect(bytes((wanted,)), reason)

    def end(self, reason: str = "trailing_bytes") -> None:
        """Nothing may be left."""
        if self.at != len(self.data):
            raise UpdateInvalid(reason)


def parse_update(raw: bytes) -> ParsedUpdate:
    """The parts of one update; raises UpdateInvalid with its reason for anything that is not one."""
    cursor = Cursor(raw)
    cursor.expect(MAGIC, "wrong_magic")
    cursor.expect_byte(MAJOR, "unsupported_version")
    minor = cursor.unsigned(1)
    cursor.take(cursor.unsigned(1))
    cursor.expect_byte(WORMHOLE_MERKLE, "unsupported_update_type")
    vaa = parse_vaa(cursor.take(cursor.unsigned(2)))
    leaves = tuple(_leaf(cursor) for _ in range(cursor.unsigned(1)))
    cursor.end()
    return ParsedUpdate(raw, minor, vaa, leaves)


def parse_vaa(data: bytes) -> Vaa:
    """The signed Wormhole message inside an update; raises UpdateInvalid."""
    cursor = Cursor(data)
    cursor.expect_byte(VAA_VERSION, "unsupported_vaa_version")
    set_index = cursor.unsigned(4)
    signatures = tuple(_signature(cursor) for _ in range(cursor.unsigned(1)))
    body = cursor.rest()
    return _body(set_index, signatures, body)


def _body(set_index: int, signatures: tuple[Signature, ...], body: bytes) -> Vaa:
    cursor = Cursor(body)
    timestamp, nonce, chain = cursor.unsigned(4), cursor.unsigned(4), cursor.unsigned(2)
    emitter, sequence, consistency = cursor.take(32), cursor.unsigned(8), cursor.unsigned(1)
    cursor.expect(PAYLOAD_MAGIC, "wrong_payload_magic")
    cursor.expect_byte(WORMHOLE_MERKLE, "unsupported_payload_type")
    slot, ring_size, root = cursor.unsigned(8), cursor.unsigned(4), cursor.take(HASH_BYTES)
    cursor.end("payload_trailing_bytes")
    return Vaa(
        set_index=set_index,
        signatures=signatures,
        body=body,
        timestamp=timestamp,
        nonce=nonce,
        emitter_chain=chain,
        emitter=emitter,
        sequence=sequence,
        consistency=consistency,
        slot=slot,
        ring_size=ring_size,
        root=root,
    )


def _signature(cursor: Cursor) -> Signature:
    return Signature(signer=cursor.unsigned(1), rs=cursor.take(64), recovery=cursor.unsigned(1))


def _leaf(cursor: Cursor) -> Leaf:
    message = cursor.take(cursor.unsigned(2))
    path = tuple(cursor.take(HASH_BYTES) for _ in range(cursor.unsigned(1)))
    if not message:
        raise UpdateInvalid("empty_message")
    return Leaf(message, path, parse_price(message) if message[0] == PRICE_MESSAGE else None)


def parse_price(message: bytes) -> PriceMessage:
    """A price message of exactly 85 bytes; the price and its average are signed. Raises UpdateInvalid."""
    if len(message) != PRICE_MESSAGE_BYTES:
        raise UpdateInvalid("price_message_length")
    cursor = Cursor(message)
    cursor.expect_byte(PRICE_MESSAGE, "not_a_price_message")
    return PriceMessage(
        feed=cursor.take(32),
        price=cursor.signed(8),
        conf=cursor.unsigned(8),
        expo=cursor.signed(4),
        publish_time=cursor.signed(8),
        prev_publish_time=cursor.signed(8),
        ema_price=cursor.signed(8),
        ema_conf=cursor.unsigned(8),
    )
