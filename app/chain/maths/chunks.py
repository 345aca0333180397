"""Cutting a back-fill into chunks. Pure; the plan's row is enough to make the same chunks again, so none is stored."""

from __future__ import annotations

from collections.abc import Mapping

from app.chain.types.backfills import Backfill, Chunk, Standing

# A job each: more would fill the queue without being any faster.
MOST_CHUNKS = 1000
READING_SHARE = 0.9


def chunk_size(first_block: int, last_block: int, wanted_blocks: int) -> int:
    """How many blocks a chunk has: what is wanted, or more where that would make more than MOST_CHUNKS; rounded up."""
    return max(wanted_blocks, -(-(last_block - first_block + 1) // MOST_CHUNKS))


def cut(first_block: int, last_block: int, chunk_blocks: int) -> list[Chunk]:
    """The range in its order, every block in exactly one chunk; the last may be shorter. None for an empty range."""
    starts = range(first_block, last_block + 1, chunk_blocks)
    return [Chunk(start, min(start + chunk_blocks - 1, last_block)) for start in starts]


def chunks_of(plan: Backfill) -> list[Chunk]:
    """All of the plan's history: what was read before it, if anything, as one chunk, and those to read."""
    before = [Chunk(plan.start_block, plan.first_block - 1)] if plan.first_block > plan.start_block else []
    return before + cut(plan.first_block, plan.last_block, plan.chunk_blocks)


def blocks_read(chunks: Mapping[Chunk, int | None]) -> int:
    """How many blocks of the chunks are read, each given with the next block it reads, None before its first."""
    return sum(0 if next_block is None else next_block - chunk.first_block for chunk, next_block in chunks.items())


def share_done(standing: Standing, left_to_fold: int | None, *, rounds: int = 1, rounds_done: int = 0) -> float:
    """How much of a plan is done, from 0 to below 1: reading, in so many rounds, is nine tenths of it, folding one.

    `left_to_fold`: blocks, None before folding has begun.
    """
    if left_to_fold is None:
        return READING_SHARE * ((rounds_done + standing.blocks_read / standing.blocks) / rounds)
    return READING_SHARE + (1 - READING_SHARE) * max(0.0, 1 - left_to_fold / standing.blocks)
