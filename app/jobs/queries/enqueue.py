"""Inserting jobs, and the Idempotency-Keys that go with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from app.jobs.models import Job
from app.jobs.queries.read import SHOWN

# One statement for one job or a hundred. A job whose overlap key is live is left out, and so not returned;
# one whose (schedule, slot) exists is an error, since the schedule's row lock makes that impossible.
INSERT_JOBS = text(
    f"""
    INSERT INTO jobs (id, kind, principal, queue, priority, status, params, run_at, expires_at, max_attempts,
                      overlap_key, serial_key, schedule, slot_at, callback_url, retried_from, request_id)
    SELECT j.id, j.kind, j.principal, j.queue, j.priority, 'queued', j.params,
           coalesce(j.run_at, statement_timestamp()),
           coalesce(j.expires_at, coalesce(j.run_at, statement_timestamp()) + j.expires_after), j.max_attempts,
           j.overlap_key, j.serial_key, j.schedule, j.slot_at, j.callback_url, j.retried_from, j.request_id
    FROM jsonb_to_recordset(:jobs) AS j(
        id uuid, kind text, principal text, queue text, priority smallint, params jsonb, run_at timestamptz,
        expires_at timestamptz, expires_after interval, max_attempts int, overlap_key text, serial_key text,
        schedule text, slot_at timestamptz, callback_url text, retried_from uuid, request_id text)
    ON CONFLICT (overlap_key) WHERE overlap_key IS NOT NULL AND status IN ('in_doubt', 'queued', 'running') DO NOTHING
    RETURNING {", ".join(SHOWN)}
    """  # noqa: S608 - the columns are a constant
).columns(*(Job.__table__.c[name] for name in SHOWN))

LIVE_BY_OVERLAP = text(
    "SELECT id FROM jobs WHERE overlap_key = :overlap_key AND status IN ('in_doubt', 'queued', 'running')"
)

# The first caller gets a row back; a later one gets none, and reads the answer instead. A caller that comes while the
# first is still uncommitted waits for it here. An expired key is taken over.
TAKE_KEY = text(
    """
    INSERT INTO job_keys AS k (principal, route, key, request_hash, expires_at)
    VALUES (:principal, :route, :key, :request_hash, statement_timestamp() + make_interval(hours => :keep_hours))
    ON CONFLICT (principal, route, key) DO UPDATE
        SET request_hash = excluded.request_hash, expires_at = excluded.expires_at, answer = NULL
        WHERE k.expires_at < statement_timestamp()
    RETURNING key
    """
)

READ_KEY = text(
    "SELECT request_hash, answer FROM job_keys WHERE principal = :principal AND route = :route AND key = :key"
)

STORE_ANSWER = text(
    "UPDATE job_keys SET answer = :answer WHERE principal = :principal AND route = :route AND key = :key"
).bindparams(bindparam("answer", type_=JSONB))


def insert_jobs(session: Session | Connection, rows: Sequence[dict[str, Any]]) -> dict[UUID, Row[Any]]:
    """Insert; returns by id those that went in, as a client sees them. O(rows), one round trip."""
    found = session.execute(INSERT_JOBS, {"jobs": json.dumps(rows, default=str)})
    return {row.id: row for row in found}


def find_live_by_overlap(session: Session, overlap_key: str) -> UUID | None:
    """The job that holds an overlap key, if it still does."""
    found: UUID | None = session.scalar(LIVE_BY_OVERLAP, {"overlap_key": overlap_key})
    return found


def take_key(session: Session, names: dict[str, str], request_hash: bytes, keep_hours: int) -> bool:
    """True for the first request with this key; false when it was used before."""
    values = {**names, "request_hash": request_hash, "keep_hours": keep_hours}
    return session.scalar(TAKE_KEY, values) is not None


def read_key(session: Session, names: dict[str, str]) -> tuple[bytes, dict[str, Any]]:
    """What was asked with this key, and what was answered."""
    row = session.execute(READ_KEY, names).one()
    return bytes(row.request_hash), row.answer


def store_answer(session: Session, names: dict[str, str], answer: dict[str, Any]) -> None:
    """Keep the first answer, in the same transaction as the jobs."""
    session.execute(STORE_ANSWER, {**names, "answer": answer})
