"""Planning a back-fill: the live head leaps to the chain's newest final block, and what it leaps over becomes chunks.

Cut at finality: no reorg that is not below finality reaches into a chunk, for the block before the live head's first
one is final, and its header is kept. A fork below finality rewinds chunks like every other cursor.
"""

from __future__ import annotations

from functools import partial

from app.chain import errors
from app.chain.adapters.logs import read_headers, read_heads
from app.chain.adapters.providers import Providers
from app.chain.maths.chunks import chunk_size
from app.chain.maths.forks import final_block
from app.chain.queries import backfills, cursors, headers
from app.chain.services.backfill import range_of
from app.chain.services.providers import pin
from app.chain.services.work import Work
from app.chain.types.backfills import Backfill
from app.chain.types.blocks import Header
from app.chain.types.indexing import Cursor
from app.core.db import release
from app.core.logging import get_logger

log = get_logger(__name__)


def open_plan(work: Work, providers: Providers, *, chunk_blocks: int) -> Backfill | None:
    """The set's plan: the one there is, or a new one from where the set stands to the last final block; None when the
    set stands above that already. Commits a new one.

    From then on the set's cursor goes on above the plan, and its events feed no projections until the plan's are
    folded. Raises SetHalted, ForkSeen, and the node's failures.
    """
    session, contracts = work.session, work.contracts
    found = backfills.find(session, contracts.chain_id, contracts.name)
    release(session)
    if found is not None:
        return found
    last = _final_header(work, providers)
    if last is None:
        return None
    cursors.lock_chain(session, contracts.chain_id)
    cursor = _cursor(work)
    if cursor.next_block > last.number:
        return None
    plan = Backfill(
        chain_id=contracts.chain_id,
        contract_set=contracts.name,
        start_block=cursor.start_block,
        first_block=cursor.next_block,
        last_block=last.number,
        chunk_blocks=chunk_size(cursor.next_block, last.number, chunk_blocks),
        fold_block=cursor.next_block,
    )
    _leap(work, cursor, plan, last)
    log.info("backfill_planned", contract_set=plan.contract_set, first=plan.first_block, last=plan.last_block)
    return plan


def _leap(work: Work, cursor: Cursor, plan: Backfill, last: Header) -> None:
    """Write the plan down and move the live cursor above it, with the header that it stands on; commits."""
    session = work.session
    kept = headers.hashes_between(session, plan.chain_id, last.number, last.number)
    if kept.get(last.number, last.hash) != last.hash:
        raise errors.ForkSeen(f"Block {last.number} differs from the one kept.", block_number=last.number)
    if plan.first_block > plan.start_block:
        read_before = range_of(work.contracts, plan.start_block, plan.first_block - 1)
        cursors.set_aside(session, cursor, read_before.name)
    cursors.leap(session, cursor, tip=last)
    headers.insert_headers(session, plan.chain_id, [last])
    backfills.open_plan(session, plan)
    work.commit()


def _final_header(work: Work, providers: Providers) -> Header | None:
    finality = work.options.finality
    pinned = pin(work, providers, partial(read_heads, tip_block=None, finalized=finality.depth is None))
    last = final_block(finality, pinned.heads.head.number, pinned.heads.final_block)
    return None if last is None else read_headers(pinned.provider, [last])[0]


def _cursor(work: Work) -> Cursor:
    session, contracts = work.session, work.contracts
    cursors.open_cursor(session, chain_id=contracts.chain_id, name=contracts.name, start_block=contracts.start_block)
    cursor = cursors.find_cursor(session, contracts.chain_id, contracts.name)
    if cursor is None:
        raise RuntimeError(f"the cursor of {contracts.name} was opened and is not there")
    if cursor.halted_reason is not None:
        raise errors.SetHalted(f"Indexing is halted: {cursor.halted_reason}.")
    return cursor
