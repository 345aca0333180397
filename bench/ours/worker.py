"""The real Celery application with the no-op kinds beside the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.jobs.services.run import JobRun
from bench.ours.kinds import NOOP, NOOP_BULK, NOOP_SAFE_CLAIM
from tasks.base import job_task
from tasks.celery_app import celery_app

app = celery_app


def nothing(_run: JobRun) -> None:
    """The body of a no-op job."""


job_task(NOOP)(nothing)
job_task(NOOP_SAFE_CLAIM)(nothing)


@job_task(NOOP_BULK)
def nothing_in_bulk(runs: Sequence[JobRun]) -> list[dict[str, Any]]:
    """The body of many."""
    return [{} for _ in runs]
