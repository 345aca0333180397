"""Contracts that factories made within a back-fill. Their events can only be asked for once they are known, so the
chunks are read twice: at first for the creations alone, and then, every contract being known, for everything.
"""

from __future__ import annotations

from app.chain.maths.chunks import chunks_of, cut
from app.chain.maths.selection import created, creations_only
from app.chain.queries import backfills, children, cursors
from app.chain.queries.stored_events import logs_between
from app.chain.services.backfill import range_of
from app.chain.services.backfill_chunks import is_read
from app.chain.services.work import Work
from app.chain.types.backfills import Backfill
from app.core.logging import get_logger

log = get_logger(__name__)


def knew_its_children(work: Work, plan: Backfill) -> bool:
    """True when every contract made in the plan's blocks was known before the chunks were read, or there are none.

    Else they are known from here on, and the chunks and the live head begin again; False. So it is also where a node
    had left out a creation that was found afterwards. Commits.
    """
    session, contracts = work.session, work.contracts
    if not contracts.factories:
        return True
    if plan.children_known is None:
        _find_children(work, plan)
    cursors.lock_chain(session, plan.chain_id)
    known = children.count(session, plan.chain_id, contracts.name, plan.last_block)
    head = cursors.find_cursor(session, plan.chain_id, contracts.name)
    if known == plan.children_known:
        return True
    # A head that stands at its start, after a reorg, could not tell that it must begin again: it reads on first.
    if head is not None and head.tip_hash is not None and is_read(session, contracts, plan):
        _begin_again(work, plan)
        backfills.know_children(session, plan, known)
        log.info("backfill_knows_children", contract_set=plan.contract_set, children=known)
    work.commit()
    return False


def _begin_again(work: Work, plan: Backfill) -> None:
    session, contracts = work.session, work.contracts
    chunks = cut(plan.first_block, plan.last_block, plan.chunk_blocks)
    cursors.restart(session, plan.chain_id, [contracts.name, *(range_of(contracts, *one).name for one in chunks)])
    for projection in work.own_projections():
        projection.rollback(session, plan.chain_id, plan.first_block)
    backfills.folded(session, plan, min(plan.fold_block, plan.first_block))


def _find_children(work: Work, plan: Backfill) -> None:
    """Note the contracts that the stored creations of the plan's blocks tell of; commits after each chunk."""
    session, contracts = work.session, work.contracts
    for chunk in chunks_of(plan):
        cursors.lock_chain(session, plan.chain_id)
        told = logs_between(session, creations_only(contracts), *chunk)
        children.add(session, plan.chain_id, contracts.name, created(contracts, told))
        work.commit()
