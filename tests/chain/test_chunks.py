"""Cutting a back-fill: every block of the range in exactly one chunk, whatever the numbers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chain.maths.chunks import MOST_CHUNKS, blocks_read, chunk_size, chunks_of, cut, share_done
from app.chain.types.backfills import Backfill, Standing

BLOCK = st.integers(0, 2**40)


@st.composite
def plans(draw: st.DrawFn) -> Backfill:
    """Any plan that the planner may make."""
    start, before, blocks = draw(BLOCK), draw(st.integers(0, 10**6)), draw(st.integers(1, 10**7))
    first, last = start + before, start + before + blocks - 1
    size = chunk_size(first, last, draw(st.integers(1, 10**6)))
    return Backfill(
        chain_id=1,
        contract_set="any",
        start_block=start,
        first_block=first,
        last_block=last,
        chunk_blocks=size,
        fold_block=first,
    )


@given(plans())
def test_chunks_meet_without_gap_or_overlap_from_the_start_to_the_live_head(plan: Backfill) -> None:
    chunks = chunks_of(plan)
    assert chunks[0].first_block == plan.start_block
    assert chunks[-1].last_block == plan.last_block
    assert all(chunk.first_block <= chunk.last_block for chunk in chunks)
    assert all(one.last_block + 1 == after.first_block for one, after in pairwise(chunks))
    assert sum(chunk.blocks for chunk in chunks) == plan.last_block - plan.start_block + 1


@given(plans())
def test_there_are_never_too_many_chunks_and_none_is_larger_than_planned(plan: Backfill) -> None:
    chunks = cut(plan.first_block, plan.last_block, plan.chunk_blocks)
    assert 1 <= len(chunks) <= MOST_CHUNKS
    assert all(chunk.blocks <= plan.chunk_blocks for chunk in chunks)
    assert all(chunk.blocks == plan.chunk_blocks for chunk in chunks[:-1])


@given(BLOCK, st.integers(1, 10**6), st.integers(1, 10**6))
def test_a_chunk_is_as_large_as_wanted_where_that_is_not_too_many(first: int, blocks: int, wanted: int) -> None:
    size = chunk_size(first, first + blocks - 1, wanted)
    assert size >= wanted
    assert size == wanted or len(cut(first, first + blocks - 1, wanted)) > MOST_CHUNKS


def test_an_empty_range_has_no_chunks() -> None:
    assert cut(5, 4, 10) == []


@given(plans(), st.data())
def test_what_is_read_is_counted_once(plan: Backfill, data: st.DataObject) -> None:
    chunks = chunks_of(plan)
    reads = {chunk: data.draw(st.integers(0, chunk.blocks)) for chunk in chunks[:5]}
    positions = {chunk: chunk.first_block + read if read else None for chunk, read in reads.items()}
    assert blocks_read(positions) == sum(reads.values())


def test_the_first_of_two_rounds_is_half_of_the_reading() -> None:
    half = Standing(chunks=2, chunks_done=1, blocks=10, blocks_read=5, live=1)
    shares = [share_done(half, None, rounds=2, rounds_done=done) for done in (0, 1)]
    assert shares == pytest.approx([0.225, 0.675])


@given(st.integers(1, 10**6), st.data())
def test_a_share_is_below_one_until_the_end_and_grows(blocks: int, data: st.DataObject) -> None:
    def share(read: int, left: int | None) -> float:
        return share_done(Standing(chunks=1, chunks_done=0, blocks=blocks, blocks_read=read, live=1), left)

    earlier, later = sorted([data.draw(st.integers(0, blocks)), data.draw(st.integers(0, blocks))])
    more, less = sorted([data.draw(st.integers(1, 2 * blocks)), data.draw(st.integers(1, 2 * blocks))], reverse=True)
    assert 0 <= share(earlier, None) <= share(later, None) <= share(blocks, more) <= share(blocks, less) < 1
