"""A reader of PNAU bytes for the tests alone: takes a blob apart without checking anything but its end."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from contracts.pnau import PriceMessage


@dataclass(frozen=True)
class Update:
    message: bytes
    proof: list[bytes]

    @property
    def price(self) -> PriceMessage:
        kind, *fields = struct.unpack(">B32sqQiqqqQ", self.message)
        assert kind == 0
        return PriceMessage(*fields)


@dataclass(frozen=True)
class Vaa:
    raw: bytes
    guardian_set: int
    signatures: list[tuple[int, bytes]]
    body: bytes

    @property
    def payload(self) -> bytes:
        return self.body[51:]

    @property
    def slot(self) -> int:
        return int.from_bytes(self.payload[5:13], "big")

    @property
    def root(self) -> bytes:
        return self.payload[17:37]


@dataclass(frozen=True)
class Blob:
    vaa: Vaa
    updates: list[Update]


def read(data: bytes) -> Blob:
    """Take it apart; the header must be the plain one."""
    assert data[:8] == b"PNAU\x01\x00\x00\x00"
    at = 10 + int.from_bytes(data[8:10], "big")
    vaa = _vaa(data[10:at])
    updates = []
    for _ in range(data[at]):
        start = at + 3 if not updates else at + 2
        size = int.from_bytes(data[start - 2 : start], "big")
        message = data[start : start + size]
        proofs = data[start + size]
        first = start + size + 1
        updates.append(Update(message, [data[first + 20 * i : first + 20 * i + 20] for i in range(proofs)]))
        at = first + 20 * proofs
    assert at == len(data)
    return Blob(vaa, updates)


def _vaa(raw: bytes) -> Vaa:
    version, guardian_set, count = struct.unpack(">BIB", raw[:6])
    assert version == 1
    places = [6 + 66 * i for i in range(count)]
    signatures = [(raw[place], raw[place + 1 : place + 66]) for place in places]
    return Vaa(raw, guardian_set, signatures, raw[6 + 66 * count :])
