"""The real Celery application with the test kinds beside the real ones; a pool child takes its death before a task."""

from __future__ import annotations

from typing import Any

from celery import signals

from tasks.base import job_task
from tasks.beat import PostgresScheduler
from tasks.celery_app import celery_app
from tests.faults import kinds
from tests.faults.deaths import take_order

job_task(kinds.WORK)(kinds.work)
job_task(kinds.TICK)(kinds.work)
job_task(kinds.LONE)(kinds.work)
job_task(kinds.SERIAL)(kinds.work)
job_task(kinds.STEPS)(kinds.steps)
job_task(kinds.NOTIFY)(kinds.notify)
job_task(kinds.PAY)(kinds.pay)
job_task(kinds.BULK)(kinds.bulk)
celery_app.loader.import_default_modules()
_armed = False


class Scheduler(PostgresScheduler):
    """Beat that knows the test kinds."""

    menu = kinds.FAULTS_MENU


@signals.task_prerun.connect
def _take_order(**_: Any) -> None:
    global _armed
    _armed = _armed or take_order()
