"""The end of a back-fill: what waits in the tables is folded into the projections in the chain's order, and history and
the live head are one range again.
"""

from __future__ import annotations

import time

from app.chain.errors import MalformedEvent
from app.chain.queries import backfills, cursors
from app.chain.queries.stored_events import end_of_batch, mark_refused
from app.chain.services.backfill_chunks import is_read, names_of
from app.chain.services.recording import malformed_alarm
from app.chain.services.stored_events import read_blocks
from app.chain.services.work import Work
from app.chain.types.backfills import Backfill
from app.chain.types.blocks import Event
from app.chain.types.indexing import Cursor
from app.core.logging import get_logger

log = get_logger(__name__)
BATCH_EVENTS = 2000


def fold(work: Work, *, max_seconds: float) -> int | None:
    """Fold on from where the plan stands, in steps that commit, up to the live head; starts none after `max_seconds`.

    Returns the blocks that are left to fold; 0: the set's history is whole from here on, in a transaction left open for
    the edge; None: a fork has rewound a chunk, which must be read again first.
    """
    session, contracts = work.session, work.contracts
    deadline = time.monotonic() + max_seconds
    while True:
        # The live head, a reorg and this take turns: whoever is last sees what the others did.
        cursors.lock_chain(session, contracts.chain_id)
        plan = backfills.find(session, contracts.chain_id, contracts.name)
        cursor = cursors.find_cursor(session, contracts.chain_id, contracts.name)
        if plan is None or cursor is None or not is_read(session, contracts, plan):
            return None
        try:
            last = _fold_batch(work, plan, cursor)
        except MalformedEvent:  # seldom, so only now the events are asked for one by one
            session.rollback()
            _mark_refused(work, plan, cursor)
            continue
        if last >= cursor.next_block - 1:
            _join(work, plan, cursor)
            return 0
        backfills.folded(session, plan, last + 1)
        work.commit()
        if time.monotonic() > deadline:
            return cursor.next_block - 1 - last


def _fold_batch(work: Work, plan: Backfill, cursor: Cursor) -> int:
    """Fold the next events, whole blocks of them; returns the last block that is folded then."""
    last, events = _batch(work, plan, cursor)
    for projection in work.own_projections() if events else ():
        projection.apply(work.session, events)
    return last


def _batch(work: Work, plan: Backfill, cursor: Cursor) -> tuple[int, list[Event]]:
    session, head = work.session, cursor.next_block - 1
    if not work.own_projections() or plan.fold_block > head:
        return head, []
    end = end_of_batch(session, plan.chain_id, plan.fold_block, BATCH_EVENTS)
    last = head if end is None else min(end, head)
    return last, read_blocks(session, work.contracts, plan.fold_block, last)


def _mark_refused(work: Work, plan: Backfill, cursor: Cursor) -> None:
    """Write down why events of the next batch cannot be folded in, and commit: from then on they are passed over."""
    _, events = _batch(work, plan, cursor)
    reasons = {
        (event.log.block_hash, event.log.log_index): reason
        for event in events
        for one in work.own_projections()
        if (reason := one.refusal(event)) is not None
    }
    mark_refused(work.session, plan.chain_id, reasons)
    work.commit()
    for event in events:
        reason = reasons.get((event.log.block_hash, event.log.log_index))
        if reason is not None:
            work.alarm(malformed_alarm(work.contracts, event.log, f"{event.contract}.{event.name}", reason))


def _join(work: Work, plan: Backfill, cursor: Cursor) -> None:
    """One range again: the set's cursor begins where its history does, and the chunks' cursors are gone."""
    session = work.session
    cursors.begin_at(session, cursor, plan.start_block)
    cursors.drop_cursors(session, plan.chain_id, names_of(work.contracts, plan))
    backfills.close(session, plan)
    log.info("backfill_joined", contract_set=plan.contract_set, first=plan.start_block, next=cursor.next_block)
