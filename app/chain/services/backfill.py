"""Reading a range of final blocks beside the live head: a chunk of a back-fill, or one that is read again because rows
are missing or contracts were added late.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.chain.adapters.providers import Providers
from app.chain.maths.chunks import chunks_of
from app.chain.maths.selection import creations_only
from app.chain.queries import backfills
from app.chain.queries.cursors import drop_cursors
from app.chain.services.indexer import index
from app.chain.services.work import Work
from app.chain.types.backfills import Backfill, Chunk
from app.chain.types.blocks import ContractSet
from app.chain.types.indexing import IndexReport
from app.core.db import release

STEP_SECONDS = 2.0


def range_of(contracts: ContractSet, first: int | None, last: int | None) -> ContractSet:
    """The same contracts under a cursor of the range's own, `name@first-last`: no projection is fed by that name."""
    start = contracts.start_block if first is None else first
    return replace(contracts, name=f"{contracts.name}@{start}-{'' if last is None else last}", start_block=start)


def chunk_set(contracts: ContractSet, plan: Backfill, chunk: Chunk) -> ContractSet:
    """What a plan's chunk is read for, under its cursor: of a set with factories at first only the creations."""
    finds_children = bool(contracts.factories) and plan.children_known is None
    return range_of(creations_only(contracts) if finds_children else contracts, *chunk)


def backfill(
    work: Work, providers: Providers, *, first: int, last: int, progress: Callable[[IndexReport], None]
) -> IndexReport:
    """Read the blocks `first` to `last` as far as they are final, in steps; `progress` gets each step's report so far.

    Feeds no projections, since these take events in order. The range's cursor is forgotten once the end is reached, in
    a transaction left open for the edge, unless it is a plan's chunk: that plan forgets them all. Until then an
    interrupted back-fill goes on where it was. The report's `next_block` is past `last` when all is read.
    """
    plan = backfills.find(work.session, work.contracts.chain_id, work.contracts.name)
    release(work.session)
    chunk = Chunk(first, last)
    is_chunk = plan is not None and chunk in chunks_of(plan)
    contracts = chunk_set(work.contracts, plan, chunk) if plan and is_chunk else range_of(work.contracts, first, last)
    ranged = replace(work, contracts=contracts, options=replace(work.options, max_seconds=STEP_SECONDS))
    total = index(ranged, providers, last_block=last, final_only=True)
    while total.behind:
        progress(total)
        total.add(index(ranged, providers, last_block=last, final_only=True))
    if total.next_block > last and not is_chunk:
        drop_cursors(work.session, ranged.contracts.chain_id, [ranged.contracts.name])
    return total
