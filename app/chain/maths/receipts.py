"""The root that a block's header holds of its receipts, computed again: the proof that none of its logs is left out.

A Merkle-Patricia trie (yellow paper, appendix D) from the RLP of each receipt's place to the receipt (EIP-2718: a typed
one with its type's byte in front). Receipts with a state root in the place of a status, from before Byzantium, are not
for this, nor are other chains' own types.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rlp
from eth_hash.auto import keccak

from app.chain.types.blocks import Receipt

# Legacy, EIP-2930, EIP-1559, EIP-4844, EIP-7702: all of one shape.
KNOWN_KINDS = range(5)

_LEAF, _EXTENSION = 2, 0
_HASH_BYTES = 32
_Path = tuple[int, ...]
_Node = list[Any] | bytes


def receipts_root(receipts: Sequence[Receipt]) -> bytes:
    """The root of `receipts`, which are in the block's order. O(receipts); a few thousand a second.

    Raises ValueError for a receipt of a type whose encoding is not known.
    """
    leaves = sorted((_nibbles(rlp.encode(place)), _encoded(receipt)) for place, receipt in enumerate(receipts))
    return keccak(rlp.encode(_node(leaves, 0)))


def _encoded(receipt: Receipt) -> bytes:
    if receipt.kind not in KNOWN_KINDS:
        raise ValueError(f"receipts of type {receipt.kind:#x} are not known")
    logs = [[log.address, list(log.topics), log.data] for log in receipt.logs]
    body: bytes = rlp.encode([receipt.status, receipt.cumulative_gas_used, receipt.logs_bloom, logs])
    return bytes([receipt.kind]) + body if receipt.kind else body


def _node(leaves: Sequence[tuple[_Path, bytes]], depth: int) -> _Node:
    """The node over `leaves`, sorted by path, which share their first `depth` nibbles."""
    if not leaves:
        return b""
    first, last = leaves[0][0], leaves[-1][0]
    if len(leaves) == 1:
        return [_packed(first[depth:], _LEAF), leaves[0][1]]
    shared = depth
    while first[shared] == last[shared]:  # sorted, so what the ends share all share
        shared += 1
    if shared > depth:
        return [_packed(first[depth:shared], _EXTENSION), _reference(_node(leaves, shared))]
    branches = [[leaf for leaf in leaves if leaf[0][depth] == nibble] for nibble in range(16)]
    # No path is the beginning of another: RLP is prefix-free. So a branch never holds a value itself.
    return [*[_reference(_node(branch, depth + 1)) if branch else b"" for branch in branches], b""]


def _reference(node: _Node) -> bytes | _Node:
    """A node inside another: by its hash, or whole where that is shorter."""
    raw = rlp.encode(node)
    return keccak(raw) if len(raw) >= _HASH_BYTES else node


def _nibbles(raw: bytes) -> _Path:
    return tuple(nibble for byte in raw for nibble in divmod(byte, 16))


def _packed(path: _Path, kind: int) -> bytes:
    """A path's nibbles as bytes, with its kind and whether it is of odd length in front (hex-prefix encoding)."""
    odd = len(path) % 2
    nibbles = (kind + odd, *path) if odd else (kind, 0, *path)
    return bytes(high * 16 + low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))
