"""What the database holds whatever the code does: transitions, leases, keys, order."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.exc import IntegrityError

from app.jobs.errors import AlreadyLive
from app.jobs.types import TERMINAL, TRANSITIONS, Status
from tests.jobs.conftest import make_kind

Sql = Callable[..., Any]

SHAPES = {
    Status.QUEUED: "claim_token = NULL, lease_until = NULL, finished_at = NULL",
    Status.RUNNING: "claim_token = gen_random_uuid(), lease_until = now(), finished_at = NULL",
    Status.IN_DOUBT: "claim_token = NULL, lease_until = NULL, finished_at = NULL",
}
ENDED = "claim_token = NULL, lease_until = NULL, finished_at = now()"


def _force(sql: Sql, job_id: UUID, status: Status) -> None:
    """Put a job into a status past the trigger, as if it had come there by a listed way."""
    sql(
        f"ALTER TABLE jobs DISABLE TRIGGER jobs_guard; UPDATE jobs SET status = '{status}', "  # noqa: S608
        f"{SHAPES.get(status, ENDED)} WHERE id = '{job_id}'; ALTER TABLE jobs ENABLE TRIGGER jobs_guard"
    )


@pytest.mark.parametrize("old", list(Status))
@pytest.mark.parametrize("new", list(Status))
def test_only_listed_transitions(add: Callable[..., UUID], sql: Sql, old: Status, new: Status) -> None:
    if old == new:
        return
    job_id = add()
    _force(sql, job_id, old)
    change = f"UPDATE jobs SET status = '{new}', {SHAPES.get(new, ENDED)} WHERE id = :id"  # noqa: S608
    if new in TRANSITIONS[old]:
        sql(change, id=job_id)
    else:
        with pytest.raises(IntegrityError, match="has ended" if old in TERMINAL else "may not go from"):
            sql(change, id=job_id)


@pytest.mark.parametrize(
    "change",
    [
        "lease_until = now()",
        "claim_token = gen_random_uuid()",
        "status = 'running'",
        "status = 'running', lease_until = now()",
        "finished_at = now()",
        "status = 'cancelled'",
        "attempt = 4",
        "attempt = -1",
        "priority = 10",
        "blocked = true",
        "status = 'lost'",
    ],
)
def test_a_row_that_contradicts_itself_is_refused(add: Callable[..., UUID], sql: Sql, change: str) -> None:
    job_id = add()
    with pytest.raises(IntegrityError):
        sql(f"UPDATE jobs SET {change} WHERE id = :id", id=job_id)  # noqa: S608


def test_the_fence_never_falls(add: Callable[..., UUID], sql: Sql) -> None:
    job_id = add()
    sql("UPDATE jobs SET fence = 5 WHERE id = :id", id=job_id)
    with pytest.raises(IntegrityError, match="fence"):
        sql("UPDATE jobs SET fence = 4 WHERE id = :id", id=job_id)


def test_an_overlap_key_is_free_again_when_its_job_ends(add: Callable[..., UUID], sql: Sql) -> None:
    kind = make_kind("test.head", overlap_key=lambda params: "head")
    first = add(kind)
    with pytest.raises(AlreadyLive) as refused:
        add(kind)
    assert refused.value.facts == {"live_job_id": str(first)}
    sql("UPDATE jobs SET status = 'cancelled', finished_at = now() WHERE id = :id", id=first)
    assert add(kind) != first


def test_a_slot_fires_once(add: Callable[..., UUID]) -> None:
    slot = datetime(2026, 1, 1, tzinfo=UTC)
    add(schedule="hourly", slot_at=slot)
    with pytest.raises(IntegrityError, match="uq_jobs_schedule_slot_at"):
        add(schedule="hourly", slot_at=slot)
