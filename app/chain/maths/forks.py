"""Where our view of a chain and a node's part, and what that means. Pure: headers in, decisions out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from app.chain.errors import NodeBehind, NodeInconsistent
from app.chain.types.blocks import Header, Log
from app.chain.types.indexing import Finality, Rewind

# How many headers, newest first, to compare in the first request, the second...: forks are nearly always shallow.
SEARCH_CHUNKS = (16, 64, 256)


def parse_finality(text: str) -> Finality:
    """`tag`, or `depth:<blocks>`; raises ValueError with a sentence."""
    if text == "tag":
        return Finality()
    found = re.fullmatch(r"depth:(\d{1,6})", text, re.ASCII)
    if not found:
        raise ValueError(f"finality must be `tag` or `depth:<blocks>`, not {text!r}")
    return Finality(int(found[1]))


def final_block(finality: Finality, head: int, tagged: int | None) -> int | None:
    """The highest final block: the node's `finalized` one, or `depth` below the head; None when there is none yet."""
    if finality.depth is None:
        return tagged
    return head - finality.depth if head >= finality.depth else None


def check_window(tip_hash: bytes | None, headers: Sequence[Header], logs: Sequence[Log]) -> None:
    """Hold a range against itself: each header's parent is the one before it (the first's: `tip_hash`, where known),
    each log's block is the header of that number, logs are in order and none comes twice.

    Raises NodeInconsistent: the chain changed while it was read, or the node's answers do not belong together.
    """
    previous = tip_hash
    for header in headers:
        if previous is not None and header.parent_hash != previous:
            raise NodeInconsistent(f"Block {header.number} does not follow the block before it.")
        previous = header.hash
    hashes = {header.number: header.hash for header in headers}
    place = (-1, -1)
    for log in logs:
        if hashes.get(log.block_number) != log.block_hash:
            raise NodeInconsistent(f"A log's block {log.block_number} is not the header of that number.")
        if (log.block_number, log.log_index) <= place:
            raise NodeInconsistent(f"The logs of block {log.block_number} are out of order or doubled.")
        place = (log.block_number, log.log_index)


def search_chunks(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """`numbers`, newest first, in the portions in which they are compared."""
    start = 0
    for size in SEARCH_CHUNKS:
        if numbers[start : start + size]:
            yield numbers[start : start + size]
        start += size
    if numbers[start:]:
        yield numbers[start:]


def last_common(believed: Mapping[int, bytes], node: Mapping[int, bytes]) -> int | None:
    """The highest number at which both agree, below every number at which they differ; None when none is known.

    `node` holds the numbers asked so far. Below a true common block all agree; should a node agree above a difference,
    it contradicts itself, and the lower, safer block is taken.
    """
    differing = [number for number, block_hash in node.items() if believed[number] != block_hash]
    lowest = min(differing, default=None)
    agreeing = (
        number
        for number, block_hash in node.items()
        if believed[number] == block_hash and (lowest is None or number < lowest)
    )
    return max(agreeing, default=None)


def rewind_to(
    believed: Mapping[int, bytes], node: Mapping[int, bytes], *, start_block: int, final_block: int | None
) -> Rewind:
    """What to drop, given all that was compared. Without a common block: everything from `start_block`.

    Raises NodeBehind for a node that merely ends below a block once called final: its answers differ nowhere from ours,
    so it lags, and rows are not dropped for that. (A chain that truly ends earlier differs, or is not yet final there.)
    """
    common = last_common(believed, node)
    differs = any(believed[number] != block_hash for number, block_hash in node.items())
    if not differs and (common is None or (final_block is not None and common < final_block)):
        raise NodeBehind(f"The node's chain ends before block {final_block}, which was final already.")
    from_block = start_block if common is None else max(start_block, common + 1)
    return Rewind(from_block, deep=final_block is not None and from_block <= final_block)
