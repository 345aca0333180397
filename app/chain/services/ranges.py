"""Ranges read from one node: each held against itself, the one before and its headers, and made complete.

Writes nothing, so that it may run in a thread beside the one that records.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass

from app.chain import errors
from app.chain.adapters.block_logs import read_whole_block
from app.chain.adapters.logs import read_window
from app.chain.adapters.rpc import Provider
from app.chain.maths.completeness import Budget
from app.chain.maths.forks import check_window, final_block
from app.chain.maths.ranges import after_answer, after_refusal
from app.chain.services.completeness import complete
from app.chain.services.work import Work
from app.chain.types.indexing import Checked, Cursor, Heads, RangeLimits, RangeSize
from app.core.errors import AppError
from app.core.logging import get_logger

log = get_logger(__name__)

# What says that less should be asked for at once.
TOO_MUCH = (errors.RangeTooLarge, errors.AnswerTooLarge, errors.AnswerTruncated, errors.NodeTimeout)


@dataclass(frozen=True, slots=True)
class Tick:
    """One look at a node: the provider pinned for it, what it said, and how far to read."""

    work: Work
    provider: Provider
    heads: Heads
    final_block: int | None
    goal: int
    budget: Budget

    @classmethod
    def of(cls, work: Work, provider: Provider, heads: Heads, last_block: int | None, final_only: bool) -> Tick:
        """A look that reads to the head or the final block, and no further than `last_block`."""
        head = heads.head.number
        final = final_block(work.options.finality, head, heads.final_block)
        goal = (-1 if final is None else final) if final_only else head
        goal = goal if last_block is None else min(last_block, goal)
        return cls(work, provider, heads, final, goal, Budget(work.options.checks))


@dataclass(frozen=True, slots=True)
class Range:
    """A range to record, and how much to ask for after it. Without `checked` it was refused: only the size is new."""

    size: RangeSize
    checked: Checked | None = None


def read_ranges(tick: Tick, cursor: Cursor, size: RangeSize) -> Generator[Range]:
    """One range after the other from the cursor on, up to the goal or the call's bounds.

    Raises NodeInconsistent for what does not fit together, and the node's failures.
    """
    options, first, tip_hash = tick.work.options, cursor.next_block, cursor.tip_hash
    deadline, steps = time.monotonic() + options.max_seconds, 0
    while first <= tick.goal and steps < options.max_steps and time.monotonic() < deadline:
        last = min(tick.goal, first + min(size.blocks, options.limits.max_blocks) - 1)
        asked = last - first + 1
        try:
            checked = _read(tick, tip_hash, first, last)
        except TOO_MUCH as refusal:
            if asked == 1:
                raise
            size = _taught(size, options.limits, asked, refusal)
            yield Range(size)
            continue
        window = checked.window
        size = after_answer(
            size, options.limits, asked_blocks=asked, answer_bytes=window.answer_bytes, events=len(window.logs)
        )
        yield Range(size, checked)
        first, tip_hash, steps = last + 1, window.last.hash, steps + 1


def _read(tick: Tick, tip_hash: bytes | None, first: int, last: int) -> Checked:
    """The range, held against itself and completed; a single block that is too much for a range, by its receipts."""
    contracts, options = tick.work.contracts, tick.work.options
    settled = tick.final_block is not None and last <= tick.final_block
    try:
        window = read_window(
            tick.provider,
            contracts,
            first=first,
            last=last,
            known={tick.heads.head.number: tick.heads.head},
            settled=settled,
        )
    except TOO_MUCH:
        if first < last:
            raise
        window = read_whole_block(tick.provider, contracts, first)
        check_window(tip_hash, window.headers, window.logs)
        return Checked(window)
    check_window(tip_hash, window.headers, window.logs)
    return complete(tick.provider, contracts, window, tick.budget, settled=settled, limits=options.checks)


def _taught(size: RangeSize, limits: RangeLimits, asked_blocks: int, refusal: AppError) -> RangeSize:
    hints = refusal if isinstance(refusal, errors.RangeTooLarge) else errors.RangeTooLarge()
    taught = after_refusal(
        size,
        limits,
        asked_blocks=asked_blocks,
        suggested_blocks=hints.suggested_blocks,
        cap_blocks=hints.cap_blocks,
    )
    log.info("range_refused", blocks=asked_blocks, next_blocks=taught.blocks, code=refusal.code)
    return taught
