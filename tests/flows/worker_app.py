"""The real Celery application with the test kinds beside the real ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.jobs.services.run import JobRun
from tasks.base import job_task
from tasks.celery_app import celery_app
from tests.flows.kinds import BULK, SERIAL, WORK, work

app = celery_app
job_task(WORK)(work)
job_task(SERIAL)(work)


@job_task(BULK)
def bulk(runs: Sequence[JobRun]) -> list[dict[str, Any]]:
    """The same work, many a message."""
    return [work(run) for run in runs]
