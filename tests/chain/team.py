"""A back-fill's jobs in one process, each in a session of its own; and a projection that minds order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.services.alarms import record_alarm
from app.chain.services.backfill import backfill
from app.chain.services.backfill_run import take_further
from app.chain.services.work import Work
from app.chain.types.backfills import Look
from app.chain.types.blocks import Event
from tests.chain.conftest import Indexer
from tests.chain.ledger import Ledger

DEPTH = 5
LAST_MOVE = text("SELECT block_number, log_index FROM test_moves ORDER BY 1 DESC, 2 DESC LIMIT 1")


class InOrder(Ledger):
    """The ledger, which takes no event that is not later than all before it."""

    def apply(self, session: Session, events: Sequence[Event]) -> None:
        """Check, and fold."""
        for event in events:
            newest = session.execute(LAST_MOVE).one_or_none()
            place = (event.log.block_number, event.log.log_index)
            assert newest is None or tuple(newest) < place
            super().apply(session, [event])


class Team:
    """The plan's job and its workers, in one process: each look and each chunk in a session of its own."""

    def __init__(self, indexer: Indexer, chunk_blocks: int = 4):
        self.indexer, self.chunk_blocks = indexer, chunk_blocks
        self.seen = Look()

    def work(self, session: Session) -> Work:
        """What a job is handed."""
        return Work(
            session=session,
            contracts=self.indexer.contracts,
            commit=session.commit,
            alarm=partial(record_alarm, self.indexer.engine),
            options=self.indexer.options,
            projections=self.indexer.projections,
        )

    def look(self) -> Look:
        """The plan's job looks once; its end commits."""
        with Session(self.indexer.engine) as session:
            self.seen = take_further(
                self.work(session),
                self.indexer.providers,
                chunk_blocks=self.chunk_blocks,
                jobs=self.seen.jobs,
                principal="user:alice",
                fold_seconds=0.0,
            )
            session.commit()
        return self.seen

    def waiting(self) -> list[tuple[str, int, int]]:
        """The jobs of chunks that are to be read: id, first and last block."""
        return self.indexer.rows(
            "SELECT id::text, (params->>'from_block')::bigint, (params->>'to_block')::bigint FROM jobs"
            " WHERE kind = 'chain.backfill' AND finished_at IS NULL ORDER BY 2"
        )  # type: ignore[return-value]

    def read(self, job: tuple[str, int, int], *, status: str = "succeeded") -> None:
        """A worker reads one chunk, as far as it is final."""
        job_id, first, last = job
        with Session(self.indexer.engine) as session:
            report = backfill(
                self.work(session), self.indexer.providers, first=first, last=last, progress=lambda report: None
            )
            if report.next_block > last:
                end(session, job_id, status)
            session.commit()

    def finish(self, seed: int, meanwhile: Callable[[], None] = lambda: None) -> Look:
        """Look and read in any order until the history is whole."""
        dice = Random(seed)  # noqa: S311 - no secret
        while self.look().result is None:
            meanwhile()
            waiting = self.waiting()
            if waiting:
                self.read(dice.choice(waiting))
        return self.seen


def end(session: Session, job_id: str, status: str) -> None:
    """The job's end, by the way that every job takes."""
    session.execute(
        text(
            "UPDATE jobs SET status = 'running', attempt = 1, claim_token = gen_random_uuid(), lease_until = now()"
            " WHERE id = CAST(:id AS uuid) AND status = 'queued'"
        ),
        {"id": job_id},
    )
    session.execute(
        text(
            "UPDATE jobs SET status = :status, claim_token = NULL, lease_until = NULL, finished_at = now()"
            " WHERE id = CAST(:id AS uuid)"
        ),
        {"id": job_id, "status": status},
    )
