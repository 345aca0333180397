"""The chunks of a back-fill: their jobs, how far they are, and whether what they read is still the chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from sqlalchemy.orm import Session

from app.chain import errors
from app.chain.adapters.logs import read_headers
from app.chain.adapters.providers import Providers
from app.chain.jobs import BACKFILL
from app.chain.maths.chunks import blocks_read, chunks_of
from app.chain.queries import cursors
from app.chain.services.backfill import chunk_set, range_of
from app.chain.services.indexer import index
from app.chain.services.providers import pinned
from app.chain.services.work import Work
from app.chain.types.backfills import Backfill, Chunk, Standing
from app.chain.types.blocks import ContractSet
from app.chain.types.indexing import Cursor
from app.jobs.services.enqueue import enqueue_all
from app.jobs.services.reading import list_statuses
from app.jobs.types import TERMINAL, NewJob, Status

LAST_PRIORITY = 9
"""History waits for whatever else its queue holds."""

Jobs = Mapping[str, str]
"""The id of the job that reads a chunk, by the chunk's cursor."""


def keep_reading(session: Session, contracts: ContractSet, plan: Backfill, *, jobs: Jobs, principal: str) -> Jobs:
    """See to it that every chunk that is not read has a live job; returns the jobs that read, old and new.

    A chunk that was read once and rewound since is read again. Raises BackfillStopped where a job ended otherwise.
    """
    states = states_of(session, contracts, plan)
    unread = {_name(contracts, chunk): chunk for chunk, cursor in states.items() if not _is_read(chunk, cursor)}
    found = list_statuses(session, [UUID(job_id) for job_id in jobs.values()])
    live = {name: job_id for name, job_id in jobs.items() if _status(found, job_id) not in {*TERMINAL, None}}
    for name, chunk in unread.items():
        status = _status(found, jobs.get(name))
        if status in TERMINAL - {Status.SUCCEEDED}:
            raise errors.BackfillStopped(
                f"The job of blocks {chunk.first_block} to {chunk.last_block} is {status}: {jobs[name]}.",
                job_id=jobs[name],
            )
    waiting = {name: chunk for name, chunk in unread.items() if name not in live}
    made = enqueue_all(session, [_job(plan, chunk, principal) for chunk in waiting.values()]) if waiting else []
    ids = (job if isinstance(job, UUID) else job.live_job_id for job in made)
    return live | {name: str(job_id) for name, job_id in zip(waiting, ids, strict=True) if job_id is not None}


def standing(session: Session, contracts: ContractSet, plan: Backfill, jobs: Jobs) -> Standing:
    """How far the chunks are. O(chunks)."""
    states = states_of(session, contracts, plan)
    read = {chunk: None if cursor is None else cursor.next_block for chunk, cursor in states.items()}
    return Standing(
        chunks=len(states),
        chunks_done=sum(_is_read(chunk, cursor) for chunk, cursor in states.items()),
        blocks=sum(chunk.blocks for chunk in states),
        blocks_read=blocks_read(read),
        live=len(jobs),
    )


def is_read(session: Session, contracts: ContractSet, plan: Backfill) -> bool:
    """True when every chunk's cursor is at its end."""
    return all(_is_read(chunk, cursor) for chunk, cursor in states_of(session, contracts, plan).items())


def still_the_chain(work: Work, providers: Providers, plan: Backfill) -> bool:
    """Hold the chunks' last blocks against a node: each commits to all that is below it, so what was read at different
    times, from different nodes, is one chain. One that differs is healed and read again, and the answer is False.
    """
    states = states_of(work.session, work.contracts, plan)
    provider = pinned(work.session, providers)
    ends = read_headers(provider, [chunk.last_block for chunk in states])
    strays = [
        chunk
        for (chunk, cursor), end in zip(states.items(), ends, strict=True)
        if cursor is None or cursor.tip_hash != end.hash
    ]
    for chunk in strays:
        ranged = replace(work, contracts=chunk_set(work.contracts, plan, chunk))
        index(ranged, providers, last_block=chunk.last_block, final_only=True)
    return not strays


def states_of(session: Session, contracts: ContractSet, plan: Backfill) -> dict[Chunk, Cursor | None]:
    """The cursor of every chunk, in the chain's order; None for one that nobody has begun."""
    chunks = chunks_of(plan)
    found = cursors.named(session, plan.chain_id, [_name(contracts, chunk) for chunk in chunks])
    return {chunk: found.get(_name(contracts, chunk)) for chunk in chunks}


def names_of(contracts: ContractSet, plan: Backfill) -> list[str]:
    """The names of the chunks' cursors."""
    return [_name(contracts, chunk) for chunk in chunks_of(plan)]


def _name(contracts: ContractSet, chunk: Chunk) -> str:
    return range_of(contracts, *chunk).name


def _is_read(chunk: Chunk, cursor: Cursor | None) -> bool:
    return cursor is not None and cursor.next_block > chunk.last_block


def _status(found: Mapping[UUID, Status], job_id: str | None) -> Status | None:
    return None if job_id is None else found.get(UUID(job_id))


def _job(plan: Backfill, chunk: Chunk, principal: str) -> NewJob:
    return NewJob(
        kind=BACKFILL,
        params={
            "contract_set": plan.contract_set,
            "from_block": chunk.first_block,
            "to_block": chunk.last_block,
        },
        principal=principal,
        priority=LAST_PRIORITY,
    )
