"""Is a header what its hash says? Receipts prove a block's logs only as far as its header is proven itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from app.chain.adapters.rpc import Provider
from app.chain.errors import BlockUnavailable, NodeInconsistent
from app.chain.types.blocks import Header


def is_proven(provider: Provider, header: Header) -> bool:
    """Whether the header's fields give its hash; asks nothing where they do. False where that cannot be told: fields
    are missing, or the block has more of them than we know.

    Raises NodeInconsistent for a header whose fields are all known, and are not those of its hash.
    """
    maths = import_module("app.chain.maths.headers")  # rlp takes longer to load than a range to read
    computed = maths.block_hash(header.sealed)
    if computed is None or computed == header.hash:
        return computed is not None
    block = provider.call("eth_getBlockByNumber", hex(header.number), False, result=dict[str, Any] | None)
    if block is None:
        raise BlockUnavailable(f"{provider.name} does not have block {header.number}.")
    if maths.unknown_fields(list(block)):
        return False
    raise NodeInconsistent(
        f"{provider.name} gave a header of block {header.number} that is not that of its hash"
        " (CHAIN__HEADER_HASHES=false, should the chain make its hashes in a way of its own)."
    )
