"""Jobs of several requests in one statement and one commit: what arrives while one commit runs goes into the next.

Nobody waits for company: a job that comes alone goes in alone, at once. Under load a statement, a commit and a flush to
disk are shared by all who came meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from sqlalchemy import Connection, Engine, Row
from sqlalchemy.exc import DataError, IntegrityError

from app.core.failpoints import failpoint
from app.jobs.queries.enqueue import insert_jobs
from app.jobs.services.enqueue import row_of
from app.jobs.types import JobKind, NewJob

MAX_GROUP = 100


@dataclass(eq=False)
class _Waiting:
    """One request's job, and what became of it."""

    row: dict[str, Any]
    turn: Lock = field(default_factory=Lock)  # held until it is this request's turn: an Event costs several locks
    leads: bool = False
    inserted: Row[Any] | None = None
    error: Exception | None = None


class GroupCommit:
    """One an API process. The thread that finds nobody at work leads: it inserts its own job and all that wait."""

    def __init__(self, engine: Engine):
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._lock = Lock()
        self._waiting: list[_Waiting] = []
        self._led = False
        self._connection: Connection | None = None

    @staticmethod
    def takes(kind: JobKind) -> bool:
        """Not those whose keys may refuse them or lock a line: each of these has a transaction of its own."""
        return kind.overlap_key is None and kind.serial_key is None

    def enqueue(self, job: NewJob) -> Row[Any]:
        """Insert and commit; the job as a client sees it. Raises what the database raises, and then it is not there,
        or nobody knows.
        """
        mine = _Waiting(row_of(job))
        mine.turn.acquire()
        with self._lock:
            self._waiting.append(mine)
            mine.leads, self._led = not self._led, True
        if not mine.leads:
            mine.turn.acquire()
        if mine.leads:
            self._lead()
        if mine.error is not None:
            raise mine.error
        assert mine.inserted is not None
        return mine.inserted

    def _lead(self) -> None:
        with self._lock:
            group, self._waiting = self._waiting[:MAX_GROUP], self._waiting[MAX_GROUP:]
        try:
            self._insert(group)
        finally:
            self._hand_over()
            for one in group:
                if not one.leads:
                    one.turn.release()

    def _hand_over(self) -> None:
        """Let the next one lead, and have the connection; without a next one the pool gets it back."""
        with self._lock:
            successor = self._waiting[0] if self._waiting else None
            self._led = successor is not None
            if successor is None and self._connection is not None:
                self._connection.close()
                self._connection = None
        if successor is not None:
            successor.leads = True
            successor.turn.release()

    def _insert(self, group: list[_Waiting]) -> None:
        try:
            self._insert_together(group)
        except (DataError, IntegrityError) as error:
            # Refused as a whole, so nothing is in: one bad job must not take the others with it.
            if len(group) == 1:
                group[0].error = error
                return
            for one in group:
                self._insert([one])
        except Exception as error:  # it reaches every request of the group
            for one in group:
                one.error = error

    def _insert_together(self, group: list[_Waiting]) -> None:
        if self._connection is None:
            self._connection = self._engine.connect()
        try:
            failpoint("api.commit.before")
            inserted = insert_jobs(self._connection, [one.row for one in group])
            self._connection.commit()  # of SQLAlchemy's own account: the statement has committed itself
            failpoint("api.commit.after")
        except Exception:
            self._connection.close()
            self._connection = None
            raise
        for one in group:
            one.inserted = inserted[one.row["id"]]
