"""A worker's rights to jobs: claimed, extended, and given back with an outcome. The token shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.jobs.errors import LeaseLost
from app.jobs.queries import claim as queries
from app.jobs.services.outcome import next_state
from app.jobs.types import Claim, JobKind, Outcome


def claim_jobs(
    connection: Connection, kind: JobKind, ids: Sequence[UUID], *, lease_seconds: float, worker: str
) -> list[Claim]:
    """Those of the jobs that may start now, under one new token; `connection` commits by itself. O(ids).

    A duplicate message, a cancelled job, or one whose serial predecessor lives: nothing is claimed.
    """
    token = uuid4()
    try:
        rows = queries.claim(
            connection,
            ids,
            token=token,
            lease=lease_seconds,
            worker=worker,
            fast=kind.fast_claim,
            in_line=kind.serial_key is not None,
        )
    except IntegrityError:
        # Two of one serial key at the same instant: the other was first, and this one's turn comes.
        return []
    return [Claim(**row._mapping, token=token) for row in rows]


def claim_next(connection: Connection, kind: JobKind, *, lease_seconds: float, worker: str) -> Claim | None:
    """The next job of a kind that waits behind its queue's window, under a token of its own; None when others come
    first, or none waits. `connection` commits by itself.
    """
    token = uuid4()
    row = queries.claim_next(
        connection, kind.queue, kind.name, token=token, lease=lease_seconds, worker=worker, fast=kind.fast_claim
    )
    return None if row is None else Claim(**row._mapping, token=token)


def put_aside(connection: Connection, job_id: UUID) -> bool:
    """Take a job that waits for its serial predecessor out of the dispatcher's sight; the predecessor's end frees
    it.
    """
    return queries.block(connection, job_id)


def extend_leases(
    connection: Connection, claims: Sequence[Claim], *, lease_seconds: float, progress: Mapping[str, Any] | None
) -> dict[UUID, bool]:
    """Extend the leases of one message's claims; returns those still ours, each with whether to cancel it."""
    ids = [claim.id for claim in claims]
    return queries.heartbeat(connection, ids, token=claims[0].token, lease=lease_seconds, progress=progress)


def end_attempts(session: Session | Connection, ended: Sequence[tuple[Claim, Outcome]]) -> None:
    """Write the outcomes of one message's claims; raises LeaseLost when one is no longer ours. The caller commits."""
    items = [next_state(claim, outcome) for claim, outcome in ended]
    if len(queries.finish(session, items, token=ended[0][0].token)) != len(items):
        raise LeaseLost()
