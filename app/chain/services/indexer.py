"""Indexing a contract set: look at the node, heal what it undid, read on from the cursor, record.

The law: any sequence of reorgs, crashes and repeated reads ends equal to a clean index of the final chain. It rests on
three things. The hash of our last block is compared with the node's at every call, so also a chain of the same height
or a shorter one is noticed. A range is only written when it links to our last block and to itself. Rows, projections
and cursor move in one transaction, from where the range was read.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from functools import partial

from app.chain import errors
from app.chain.adapters.block_logs import read_whole_block
from app.chain.adapters.logs import read_heads, read_window
from app.chain.adapters.providers import Providers
from app.chain.adapters.rpc import Provider
from app.chain.maths.completeness import Budget
from app.chain.maths.forks import check_window, final_block
from app.chain.maths.ranges import after_answer, after_refusal, first_size
from app.chain.queries import cursors
from app.chain.queries.range_sizes import find_size, keep_size
from app.chain.services.completeness import complete, report_losses
from app.chain.services.providers import end_badly, end_well, pin, quarantine
from app.chain.services.recording import record
from app.chain.services.reorgs import heal
from app.chain.services.work import Work
from app.chain.types.indexing import Alarm, Checked, Cursor, Heads, IndexReport, RangeSize
from app.core.db import release
from app.core.errors import AppError
from app.core.logging import get_logger

log = get_logger(__name__)

# What says that less should be asked for at once.
TOO_MUCH = (errors.RangeTooLarge, errors.AnswerTooLarge, errors.AnswerTruncated, errors.NodeTimeout)

# Looks at the node in one call: each ends in progress, in a healed reorg, or in an answer that did not fit together.
MAX_LOOKS = 5
# Answers of one provider that did not fit together, in one call, before others are preferred to it.
MAX_CONTRADICTIONS = 3


def index(work: Work, providers: Providers, *, last_block: int | None = None, final_only: bool = False) -> IndexReport:
    """Index `work.contracts` from its cursor to the node's head, within the options' bounds; no further than
    `last_block`, and with `final_only` no further than the last final block.

    Commits after each range. Without new blocks it costs one request. Raises SetHalted, CursorMoved, NodeBehind,
    NodeInconsistent (after an alarm) and the node's own failures; what was committed until then stays.
    """
    if providers.chain_id != work.contracts.chain_id:
        raise errors.ChainMismatch(f"{work.contracts.name} is on chain {work.contracts.chain_id}.")
    report = IndexReport(chain_id=work.contracts.chain_id, contract_set=work.contracts.name)
    sent = providers.requests_sent
    trouble: errors.NodeFailed = errors.NodeInconsistent("The node's chain changes with every look at it.")
    contradictions: Counter[str] = Counter()
    for _ in range(MAX_LOOKS):
        cursor = _cursor(work)
        pinned = pin(
            work,
            providers,
            partial(read_heads, tip_block=cursor.tip_block, finalized=work.options.finality.depth is None),
        )
        provider = pinned.provider
        try:
            if _look(_Tick.of(work, provider, pinned.heads, last_block, final_only), cursor, report):
                end_well(work, pinned)
                report.requests = providers.requests_sent - sent
                return report
        except (errors.NodeInconsistent, errors.BlockUnavailable) as problem:
            # Most often a reorg between two of our requests: the next look finds and heals it.
            trouble = problem
            contradictions[provider.name] += 1
            if contradictions[provider.name] == MAX_CONTRADICTIONS:
                quarantine(work, provider, problem.detail)
        except errors.NODE_FAULTS as failure:
            end_badly(work, provider, failure)
            raise
    work.alarm(_alarm(work, trouble))
    raise trouble


@dataclass(frozen=True, slots=True)
class _Tick:
    """One look at a node: the provider pinned for it, what it said, and how far to read."""

    work: Work
    provider: Provider
    heads: Heads
    final_block: int | None
    goal: int
    budget: Budget

    @classmethod
    def of(cls, work: Work, provider: Provider, heads: Heads, last_block: int | None, final_only: bool) -> _Tick:
        head = heads.head.number
        final = final_block(work.options.finality, head, heads.final_block)
        goal = (-1 if final is None else final) if final_only else head
        goal = goal if last_block is None else min(last_block, goal)
        return cls(work, provider, heads, final, goal, Budget(work.options.checks))


def _look(tick: _Tick, cursor: Cursor, report: IndexReport) -> bool:
    """Read on; or, when the node's chain is not the one indexed, heal that instead and return False."""
    try:
        _check_tip(cursor, tick.heads)
        _advance(tick, cursor, report)
        return True
    except errors.ForkSeen:
        release(tick.work.session)
        heal(tick.work, tick.provider, cursor, tick.heads)
        report.rewinds += 1
        return False


def _cursor(work: Work) -> Cursor:
    contracts, session = work.contracts, work.session
    found = cursors.find_cursor(session, contracts.chain_id, contracts.name)
    if found is None:
        cursors.open_cursor(
            session,
            chain_id=contracts.chain_id,
            name=contracts.name,
            start_block=contracts.start_block,
        )
        work.commit()
        return _cursor(work)
    release(session)
    if found.halted_reason is not None:
        raise errors.SetHalted(f"Indexing is halted: {found.halted_reason}.")
    return found


def _check_tip(cursor: Cursor, heads: Heads) -> None:
    if cursor.tip_hash is not None and (heads.at_tip is None or heads.at_tip.hash != cursor.tip_hash):
        raise errors.ForkSeen(f"Block {cursor.tip_block} is not the one indexed.")


def _advance(tick: _Tick, cursor: Cursor, report: IndexReport) -> None:
    """Read and record ranges up to the goal or the call's bounds."""
    options, head = tick.work.options, tick.heads.head.number
    deadline = time.monotonic() + options.max_seconds
    if cursor.next_block > tick.goal:
        cursors.looked(tick.work.session, cursor, head_block=head, final_block=tick.final_block)
        tick.work.commit()
    size = find_size(tick.work.session, cursor, tick.provider.name) or first_size(options.limits)
    release(tick.work.session)
    while cursor.next_block <= tick.goal and report.steps < options.max_steps and time.monotonic() < deadline:
        cursor, size = _step(tick, cursor, size, report)
    report.next_block, report.head_block, report.final_block = cursor.next_block, head, tick.final_block
    report.behind = cursor.next_block <= tick.goal


def _step(tick: _Tick, cursor: Cursor, size: RangeSize, report: IndexReport) -> tuple[Cursor, RangeSize]:
    """One range: read, held against itself, our last block and its headers, recorded. A refused range only teaches its
    size.
    """
    work, limits = tick.work, tick.work.options.limits
    first = cursor.next_block
    last = min(tick.goal, first + min(size.blocks, limits.max_blocks) - 1)
    asked = last - first + 1
    try:
        checked = _read(tick, cursor, first, last)
    except TOO_MUCH as refusal:
        return cursor, _learn(tick, cursor, size, asked, refusal)
    window = checked.window
    learned = after_answer(size, limits, asked_blocks=asked, answer_bytes=window.answer_bytes, events=len(window.logs))
    moved, rows, malformed = record(
        work,
        cursor,
        window,
        head_block=tick.heads.head.number,
        final_block=tick.final_block,
        provider=tick.provider.name,
        learned=learned if learned != size else None,
    )
    report_losses(work, tick.provider, checked)
    if checked.losses:
        quarantine(work, tick.provider, "it left out logs")
    report.blocks += asked
    report.events += len(window.logs)
    report.rows += rows
    report.malformed += malformed
    report.checks += checked.calls
    report.repaired += checked.repaired
    report.unchecked += checked.unchecked
    report.steps += 1
    return moved, learned


def _read(tick: _Tick, cursor: Cursor, first: int, last: int) -> Checked:
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
        check_window(cursor.tip_hash, window.headers, window.logs)
        return Checked(window)
    check_window(cursor.tip_hash, window.headers, window.logs)
    return complete(tick.provider, contracts, window, tick.budget, settled=settled, limits=options.checks)


def _learn(tick: _Tick, cursor: Cursor, size: RangeSize, asked_blocks: int, refusal: AppError) -> RangeSize:
    """Remember that a size was refused, at once: a worker that dies of slow answers must not begin again with it."""
    if asked_blocks == 1:
        raise refusal
    hints = refusal if isinstance(refusal, errors.RangeTooLarge) else errors.RangeTooLarge()
    learned = after_refusal(
        size,
        tick.work.options.limits,
        asked_blocks=asked_blocks,
        suggested_blocks=hints.suggested_blocks,
        cap_blocks=hints.cap_blocks,
    )
    log.info("range_refused", blocks=asked_blocks, next_blocks=learned.blocks, code=refusal.code)
    keep_size(tick.work.session, cursor, tick.provider.name, learned)
    tick.work.commit()
    return learned


def _alarm(work: Work, trouble: AppError) -> Alarm:
    return Alarm(
        chain_id=work.contracts.chain_id,
        contract_set=work.contracts.name,
        kind="node_inconsistent",
        subject=work.contracts.name,
        detail={"reason": trouble.detail},
    )
