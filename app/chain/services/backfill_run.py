"""One look at a back-fill: plan it, see its chunks through, hold them against the chain, fold; whatever comes next."""

from __future__ import annotations

from app.chain.adapters.providers import Providers
from app.chain.maths.chunks import share_done
from app.chain.services.backfill_children import knew_its_children
from app.chain.services.backfill_chunks import Jobs, keep_reading, standing, still_the_chain
from app.chain.services.backfill_fold import fold
from app.chain.services.backfill_plan import open_plan
from app.chain.services.work import Work
from app.chain.types.backfills import Look


def take_further(
    work: Work, providers: Providers, *, chunk_blocks: int, jobs: Jobs, principal: str, fold_seconds: float
) -> Look:
    """Do what can be done now for the set's back-fill; `jobs` are those that the last look saw reading.

    New jobs and the end itself are in a transaction left open for the edge. Raises BackfillStopped, what `open_plan`
    raises, and the node's failures.
    """
    plan = open_plan(work, providers, chunk_blocks=chunk_blocks)
    if plan is None:
        return Look(result={"chunks": 0})
    jobs = keep_reading(work.session, work.contracts, plan, jobs=jobs, principal=principal)
    found = standing(work.session, work.contracts, plan, jobs)
    rounds = 2 if work.contracts.factories else 1
    finds_children = rounds > 1 and plan.children_known is None
    read = f"{found.chunks_done} of {found.chunks} chunks are read" + (" for creations" if finds_children else "")
    if not found.is_read or not still_the_chain(work, providers, plan) or not knew_its_children(work, plan):
        share = share_done(found, None, rounds=rounds, rounds_done=0 if finds_children else rounds - 1)
        return Look(jobs=jobs, fraction=share, stage="reading", message=read)
    left = fold(work, max_seconds=fold_seconds)
    if left == 0:
        result = {"chunks": found.chunks, "first_block": plan.start_block, "last_block": plan.last_block}
        return Look(result=result)
    message = read if left is None else f"{left} blocks are left to fold"
    return Look(jobs=jobs, fraction=share_done(found, left), stage="folding", message=message)
