"""How many blocks to ask a node for next. Pure; the state is persisted with the cursor, so a restart forgets nothing.

Two forces: the answers' density (bytes and events a block) steers towards a comfortable answer, growing at most
twofold a step; refusals lower a ceiling at once. A ceiling is not for ever: after `PATIENCE` answers at it, it is
raised by half and tried. No size is ever below one block, and a refused size is never asked for again at once.
"""

from __future__ import annotations

from app.chain.types.indexing import RangeLimits, RangeSize

FIRST_BLOCKS = 100
GROWTH = 2
PATIENCE = 16


def first_size(limits: RangeLimits) -> RangeSize:
    """The size to begin with, when nothing is known of the node or the contracts."""
    return RangeSize(min(FIRST_BLOCKS, limits.max_blocks))


def after_answer(
    size: RangeSize, limits: RangeLimits, *, asked_blocks: int, answer_bytes: int, events: int
) -> RangeSize:
    """The size after an answer to `asked_blocks`. A range cut short by the chain's head can only shrink it."""
    fitting = min(
        asked_blocks * limits.target_bytes // max(1, answer_bytes),
        asked_blocks * limits.target_events // max(1, events),
    )
    grown = min(fitting, asked_blocks * GROWTH) if asked_blocks >= size.blocks else min(fitting, size.blocks)
    raised = _patient(size, limits, asked_blocks)
    return RangeSize(_bounded(grown, raised.ceiling, limits), raised.ceiling, raised.successes)


def _patient(size: RangeSize, limits: RangeLimits, asked_blocks: int) -> RangeSize:
    """Count an answer at the ceiling; after enough of them raise it, and forget it once it no longer binds."""
    if size.ceiling is None or asked_blocks < size.ceiling:
        return size
    if size.successes + 1 < PATIENCE:
        return RangeSize(size.blocks, size.ceiling, size.successes + 1)
    raised = size.ceiling + max(1, size.ceiling // 2)
    return RangeSize(size.blocks, None if raised >= limits.max_blocks else raised)


def after_refusal(
    size: RangeSize,
    limits: RangeLimits,
    *,
    asked_blocks: int,
    suggested_blocks: int | None = None,
    cap_blocks: int | None = None,
) -> RangeSize:
    """The size after `asked_blocks` were refused (too many blocks or logs, or no answer in time).

    A cap is the node's own rule and becomes the ceiling; a suggestion is for this request only; without either, half is
    tried and remembered as the ceiling. A number that is not smaller than what was asked, or no size at all, is
    no help and is ignored.
    """
    half = max(1, asked_blocks // 2)
    cap = cap_blocks if cap_blocks is not None and 0 < cap_blocks < asked_blocks else None
    suggested = suggested_blocks if suggested_blocks is not None and 0 < suggested_blocks < asked_blocks else None
    ceiling: int | None = half
    if cap is not None:
        ceiling = cap
    elif suggested is not None:
        ceiling = size.ceiling
    return RangeSize(_bounded(suggested or cap or half, ceiling, limits), ceiling)


def _bounded(blocks: int, ceiling: int | None, limits: RangeLimits) -> int:
    return max(1, min(blocks, limits.max_blocks, ceiling or blocks))
