"""Ranges read from one node: each held against itself, the one before and its headers, and made complete.

Writes nothing, so that it may run in a thread beside the one that records.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import NamedTuple

from app.chain import errors
from app.chain.adapters.block_logs import read_whole_block
from app.chain.adapters.logs import read_window
from app.chain.adapters.rpc import Provider
from app.chain.maths.completeness import Budget
from app.chain.maths.forks import check_window, final_block
from app.chain.maths.ranges import after_answer, after_refusal
from app.chain.maths.selection import asks_by_topic, created
from app.chain.services.completeness import complete
from app.chain.services.work import Work
from app.chain.types.blocks import ContractSet
from app.chain.types.indexing import Checked, Cursor, Heads, RangeLimits, RangeSize, Window
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
    """A range to record, and how much to ask for after it. Without `checked` it was refused: only the size is new.

    `contracts`: the set with every child that is known up to its end.
    """

    size: RangeSize
    contracts: ContractSet
    checked: Checked | None = None


def read_ranges(tick: Tick, contracts: ContractSet, cursor: Cursor, size: RangeSize) -> Generator[Range]:
    """One range after the other from the cursor on, up to the goal or the call's bounds. `contracts`: the set with the
    children that are known; those that the ranges bring are known from there on.

    Raises NodeInconsistent for what does not fit together, and the node's failures.
    """
    options = tick.work.options
    first, tip_hash = cursor.next_block, cursor.tip_hash
    deadline, steps = time.monotonic() + options.max_seconds, 0
    while first <= tick.goal and steps < options.max_steps and time.monotonic() < deadline:
        last = min(tick.goal, first + min(size.blocks, options.limits.max_blocks) - 1)
        asked = last - first + 1
        try:
            checked = _read(tick, contracts, _Asked(first, last, size.blocks), tip_hash)
        except TOO_MUCH as refusal:
            if asked == 1:
                raise
            size = _taught(size, options.limits, asked, refusal)
            yield Range(size, contracts)
            continue
        window = checked.window
        size = after_answer(
            size, options.limits, asked_blocks=asked, answer_bytes=window.answer_bytes, events=len(window.logs)
        )
        contracts = contracts.with_children(window.children)
        yield Range(size, contracts, checked)
        first, tip_hash, steps = last + 1, window.last.hash, steps + 1


class _Asked(NamedTuple):
    """A range to ask for, and how large one may be."""

    first: int
    last: int
    range_blocks: int


def _read(tick: Tick, contracts: ContractSet, asked: _Asked, tip_hash: bytes | None) -> Checked:
    """The range, held against itself and completed; a single block that is too much for a range, by its receipts.

    Where completing it brought a contract's creation that the answer had left out, it is read again, with that one.
    """
    settled = tick.final_block is not None and asked.last <= tick.final_block
    try:
        window = _ask(tick, contracts, asked, settled)
    except TOO_MUCH:
        if asked.first < asked.last:
            raise
        by_hash = tick.work.options.checks.header_hashes
        window = read_whole_block(tick.provider, contracts, asked.first, by_hash=by_hash)
        check_window(tip_hash, window.headers, window.logs)
        return Checked(window)
    check_window(tip_hash, window.headers, window.logs)
    checks = tick.work.options.checks
    checked = complete(tick.provider, contracts, window, tick.budget, settled=settled, limits=checks)
    known = contracts.with_children(window.children)
    unknown = created(known, checked.window.logs) if contracts.factories and checked.losses else {}
    return _read(tick, known.with_children(unknown), asked, tip_hash) if unknown else checked


def _ask(tick: Tick, contracts: ContractSet, asked: _Asked, settled: bool) -> Window:
    limits = tick.work.options.limits
    return read_window(
        tick.provider,
        contracts,
        first=asked.first,
        last=asked.last,
        known={tick.heads.head.number: tick.heads.head},
        settled=settled,
        max_addresses=limits.max_addresses,
        by_topic=asks_by_topic(
            contracts,
            max_addresses=limits.max_addresses,
            asked_blocks=asked.last - asked.first + 1,
            range_blocks=asked.range_blocks,
            max_blocks=limits.max_blocks,
        ),
    )


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
