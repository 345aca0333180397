"""The end of a back-fill: what waits in the tables is folded into the projections in the chain's order, and history and
the live head are one range again.
"""

from __future__ import annotations

import time

from app.chain.queries import backfills, cursors
from app.chain.queries.stored_events import end_of_batch
from app.chain.services.backfill_chunks import is_read, names_of
from app.chain.services.stored_events import read_blocks
from app.chain.services.work import Work
from app.chain.types.backfills import Backfill
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
        last = _fold_batch(work, plan, cursor)
        if last >= cursor.next_block - 1:
            _join(work, plan, cursor)
            return 0
        backfills.folded(session, plan, last + 1)
        work.commit()
        if time.monotonic() > deadline:
            return cursor.next_block - 1 - last


def _fold_batch(work: Work, plan: Backfill, cursor: Cursor) -> int:
    """Fold the next events, whole blocks of them; returns the last block that is folded then."""
    session, head = work.session, cursor.next_block - 1
    projections = work.own_projections()
    if not projections or plan.fold_block > head:
        return head
    end = end_of_batch(session, plan.chain_id, plan.fold_block, BATCH_EVENTS)
    last = head if end is None else min(end, head)
    events = read_blocks(session, work.contracts, plan.fold_block, last)
    for projection in projections if events else ():
        projection.apply(session, events)
    return last


def _join(work: Work, plan: Backfill, cursor: Cursor) -> None:
    """One range again: the set's cursor begins where its history does, and the chunks' cursors are gone."""
    session = work.session
    cursors.begin_at(session, cursor, plan.start_block)
    cursors.drop_cursors(session, plan.chain_id, names_of(work.contracts, plan))
    backfills.close(session, plan)
    log.info("backfill_joined", contract_set=plan.contract_set, first=plan.start_block, next=cursor.next_block)
