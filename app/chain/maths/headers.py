"""A block's hash, computed again from its header: the proof that the node changed nothing in it.

Keccak of the RLP of the header's fields (yellow paper, section 4.3), to which EIP-1559, 4895, 4844, 4788 and 7685 have
each added at the end. Chains that make their hashes in another way are not for this.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rlp
from eth_hash.auto import keccak

# As JSON-RPC names them, in the hash's order; a number is written without zeros in front, all else as it is.
_NUMBERS = frozenset(
    ["difficulty", "number", "gasLimit", "gasUsed", "timestamp", "baseFeePerGas", "blobGasUsed", "excessBlobGas"]
)
_ALWAYS = (
    *("parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom", "difficulty"),
    *("number", "gasLimit", "gasUsed", "timestamp", "extraData", "mixHash", "nonce"),
)
_LATER = (
    *("baseFeePerGas", "withdrawalsRoot", "blobGasUsed", "excessBlobGas", "parentBeaconBlockRoot", "requestsHash"),
)
FIELDS = (*_ALWAYS, *_LATER)
# What nodes say of a block beside its header.
BESIDE = frozenset(["hash", "size", "totalDifficulty", "transactions", "uncles", "withdrawals"])


def block_hash(fields: Sequence[Any]) -> bytes | None:
    """The hash of a header with these `FIELDS`, in hex as the node wrote them; those of later forks are None before.

    None where the fields make no header that is known: one is missing among them, or is no hex.
    """
    known = list(fields)
    while len(known) > len(_ALWAYS) and known[-1] is None:
        known.pop()
    try:
        return keccak(rlp.encode([_item(name, value) for name, value in zip(FIELDS, known, strict=False)]))
    except (TypeError, ValueError):
        return None


def unknown_fields(names: Sequence[str]) -> list[str]:
    """Those of a block's fields of which nobody knows whether they are in its hash."""
    return sorted(set(names) - BESIDE - set(FIELDS))


def _item(name: str, value: Any) -> bytes:
    if not isinstance(value, str) or value[:2] != "0x":
        raise ValueError(f"{name} is no hex")
    if name not in _NUMBERS:
        return bytes.fromhex(value[2:])
    number = int(value, 16)
    return number.to_bytes((number.bit_length() + 7) // 8)
