"""Indexing a contract set: look at the node, heal what it undid, read on from the cursor, record.

The law: any sequence of reorgs, crashes and repeated reads ends equal to a clean index of the final chain. It rests on
three things. The hash of our last block is compared with the node's at every call, so also a chain of the same height
or a shorter one is noticed. A range is only written when it links to our last block and to itself. Rows, projections
and cursor move in one transaction, from where the range was read.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import replace
from functools import partial

from app.chain import errors
from app.chain.adapters.logs import read_heads
from app.chain.adapters.providers import Providers
from app.chain.maths.ranges import first_size
from app.chain.queries import alarms, cursors
from app.chain.queries.range_sizes import find_size, keep_size
from app.chain.services.ahead import ahead
from app.chain.services.children import with_known
from app.chain.services.completeness import report_losses
from app.chain.services.providers import end_badly, end_well, pin, quarantine
from app.chain.services.ranges import Tick, read_ranges
from app.chain.services.recording import record
from app.chain.services.reorgs import NODE_BEHIND, heal
from app.chain.services.work import Work
from app.chain.types.indexing import Alarm, Checked, Cursor, Heads, IndexReport, RangeSize
from app.core.db import release
from app.core.errors import AppError
from app.core.logging import get_logger

log = get_logger(__name__)

# Looks at the node in one call: each ends in progress, in a healed reorg, or in an answer that did not fit together.
MAX_LOOKS = 5
# Answers of one provider that did not fit together, in one call, before others are preferred to it.
MAX_CONTRADICTIONS = 3

NODE_INCONSISTENT = "node_inconsistent"
PASSING = (NODE_INCONSISTENT, NODE_BEHIND)
"""Alarms about what a node said, which are over when the set is read again."""


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
            if _look(Tick.of(work, provider, pinned.heads, last_block, final_only), cursor, report):
                end_well(work, pinned)
                report.requests = providers.requests_sent - sent
                _resolve_passing(work)
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


def _look(tick: Tick, cursor: Cursor, report: IndexReport) -> bool:
    """Read on; or, when the node's chain is not the one indexed, heal that instead and return False."""
    try:
        _check_tip(cursor, tick.heads)
        _advance(tick, cursor, report)
        return True
    except errors.ForkSeen as fork:
        release(tick.work.session)
        # The cursor as it is now: ranges may have been recorded before another set's blocks were met.
        heal(tick.work, tick.provider, _cursor(tick.work), tick.heads, seen_at=fork.block_number)
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
    if cursor.tip_block is not None and (heads.at_tip is None or heads.at_tip.hash != cursor.tip_hash):
        raise errors.ForkSeen(f"Block {cursor.tip_block} is not the one indexed.", block_number=cursor.tip_block)


def _advance(tick: Tick, cursor: Cursor, report: IndexReport) -> None:
    """Read and record ranges up to the goal or the call's bounds; the next is read while one is recorded."""
    session, head = tick.work.session, tick.heads.head.number
    if cursor.next_block > tick.goal:
        cursors.looked(session, cursor, head_block=head, final_block=tick.final_block)
        tick.work.commit()
    size = find_size(session, cursor, tick.provider.name) or first_size(tick.work.options.limits)
    known = with_known(session, tick.work.contracts, tick.goal)
    release(session)
    ranges = read_ranges(tick, known, cursor, size)
    is_one = tick.goal - cursor.next_block < size.blocks
    with closing(ranges if is_one else ahead(ranges)) as coming:
        for found in coming:
            learned = None if found.size == size else found.size
            size = found.size
            if found.checked is None:
                # At once: a worker that dies of slow answers must not begin again with the size they came for.
                keep_size(session, cursor, tick.provider.name, size)
                tick.work.commit()
            else:
                work = replace(tick.work, contracts=found.contracts)
                cursor = _record(work, tick, cursor, found.checked, learned, report)
    report.next_block, report.head_block, report.final_block = cursor.next_block, head, tick.final_block
    report.behind = cursor.next_block <= tick.goal


def _record(
    work: Work, tick: Tick, cursor: Cursor, checked: Checked, learned: RangeSize | None, report: IndexReport
) -> Cursor:
    """Write a range with what was learned from it, and tell of what its answer had left out."""
    window = checked.window
    moved, rows, malformed = record(
        work,
        cursor,
        window,
        head_block=tick.heads.head.number,
        final_block=tick.final_block,
        provider=tick.provider.name,
        learned=learned,
    )
    report_losses(work, tick.provider, checked)
    if checked.losses:
        quarantine(work, tick.provider, "it left out logs")
    report.blocks += len(window.headers)
    report.events += len(window.logs)
    report.rows += rows
    report.malformed += malformed
    report.checks += checked.calls
    report.repaired += checked.repaired
    report.unchecked += checked.unchecked
    report.steps += 1
    return moved


def _resolve_passing(work: Work) -> None:
    if alarms.resolve_of_set(work.session, work.contracts.chain_id, work.contracts.name, PASSING):
        work.commit()
    else:
        release(work.session)


def _alarm(work: Work, trouble: AppError) -> Alarm:
    return Alarm(
        chain_id=work.contracts.chain_id,
        contract_set=work.contracts.name,
        kind=NODE_INCONSISTENT,
        subject=work.contracts.name,
        detail={"reason": trouble.detail},
    )
