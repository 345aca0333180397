"""A back-fill: history that is read in chunks, below the block that the live head goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Chunk(NamedTuple):
    """A range of blocks that is read by a job of its own, both ends counted in."""

    first_block: int
    last_block: int

    @property
    def blocks(self) -> int:
        """How many there are."""
        return self.last_block - self.first_block + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfill:
    """A contract set's plan. `start_block`: where the set begins; what was read before the plan was made ends below
    `first_block`, and `first_block` to `last_block`, all final then, is cut into chunks of `chunk_blocks`.

    Events below `fold_block` are folded into the projections; the live head feeds none until they all are.
    `children_known`: how many contracts that factories made up to `last_block` were known when the chunks began to be
    read; None while the chunks are read for their creations only, and for a set without factories.
    """

    chain_id: int
    contract_set: str
    start_block: int
    first_block: int
    last_block: int
    chunk_blocks: int
    fold_block: int
    children_known: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a plan is: `chunks_done` of its `chunks`, `blocks_read` of its `blocks`; `live`: jobs that have not
    ended.
    """

    chunks: int
    chunks_done: int
    blocks: int
    blocks_read: int
    live: int

    @property
    def is_read(self) -> bool:
        """True when every chunk is in the tables, and nobody reads any more."""
        return self.chunks_done == self.chunks and self.live == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at a back-fill came to: its `result` at the end, else how far it is, from 0 to below 1, and the
    jobs that read, by their chunk's cursor.
    """

    result: Mapping[str, Any] | None = None
    jobs: Mapping[str, str] = field(default_factory=dict)
    fraction: float = 0.0
    stage: str = ""
    message: str = ""
