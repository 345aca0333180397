"""Which blocks may hold a watched log: the 2,048-bit Bloom filter of a header (yellow paper, section 4.3.1).

A filter never misses: a block that holds a log of an address and a first topic has both their bits set. It may say yes
for nothing: on a filter that is half full, one block in 64 for a pair.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from eth_hash.auto import keccak

from app.chain.types.blocks import Header, Log

BLOOM_BITS = 2048
BITS_A_VALUE = 3

# For each first topic's bits, the bits of each address that is watched for it.
Masks = Mapping[int, Sequence[int]]


@lru_cache(maxsize=8192)
def bloom_bits(value: bytes) -> int:
    """The bits that `value` sets: the low 11 bits of each of the first three pairs of bytes of its Keccak hash."""
    digest = keccak(value)
    bits = 0
    for place in range(0, 2 * BITS_A_VALUE, 2):
        bits |= 1 << (int.from_bytes(digest[place : place + 2]) % BLOOM_BITS)
    return bits


def watch_masks(pairs: Iterable[tuple[bytes, bytes | None]]) -> Masks:
    """The bits to look for, of (address, first topic) pairs; without a topic those of the address alone. O(pairs)."""
    masks: dict[int, list[int]] = {}
    for address, topic in pairs:
        masks.setdefault(0 if topic is None else bloom_bits(topic), []).append(bloom_bits(address))
    return masks


def may_hold(header: Header, masks: Masks) -> bool:
    """Whether the block may hold a watched log. True for a header without a filter. O(masks), mostly O(topics)."""
    if not header.logs_bloom:
        return True
    bloom = int.from_bytes(header.logs_bloom)
    if not bloom:
        return False
    return any(
        bloom & topic == topic and any(bloom & address == address for address in addresses)
        for topic, addresses in masks.items()
    )


def missing_from(headers: Sequence[Header], logs: Sequence[Log], masks: Masks) -> tuple[Header, ...]:
    """The blocks whose filter may hold a watched log though `logs` has none of theirs. O(headers x masks)."""
    answered = {log.block_hash for log in logs}
    return tuple(header for header in headers if header.hash not in answered and may_hold(header, masks))


def not_in_bloom(headers: Sequence[Header], logs: Sequence[Log]) -> tuple[Header, ...]:
    """The blocks whose filter rules out a log that came for them: the node made it up, or its chain fills no filters.
    O(logs).
    """
    blooms = {header.hash: int.from_bytes(header.logs_bloom) for header in headers if header.logs_bloom}
    emitted = {(log.block_hash, log.address, log.topics[:1]) for log in logs}
    ruled_out = {
        block_hash
        for block_hash, address, topics in emitted
        if block_hash in blooms and not _holds(blooms[block_hash], (address, *topics))
    }
    return tuple(header for header in headers if header.hash in ruled_out)


def _holds(bloom: int, values: Iterable[bytes]) -> bool:
    return all(bloom & bits == bits for bits in map(bloom_bits, values))
