"""The real Celery application with the test kinds beside the real ones; a pool child takes its death before a task."""

from __future__ import annotations

import os
import signal
from typing import Any

from celery import signals

from tasks.base import job_task
from tasks.beat import PostgresScheduler
from tasks.celery_app import celery_app
from tasks.chain import watch_transactions
from tests.faults import kinds
from tests.faults.deaths import take_order
from tests.faults.money import kinds as money

job_task(kinds.WORK)(kinds.work)
job_task(kinds.TICK)(kinds.work)
job_task(kinds.LONE)(kinds.work)
job_task(kinds.SERIAL)(kinds.work)
job_task(kinds.STEPS)(kinds.steps)
job_task(kinds.NOTIFY)(kinds.notify)
job_task(kinds.PAY)(kinds.pay)
job_task(kinds.FAST)(kinds.fast)
job_task(kinds.BULK)(kinds.bulk)
job_task(money.TRANSFER)(money.transfer)
job_task(money.WATCH)(watch_transactions.work)
celery_app.loader.import_default_modules()
_armed = _met_the_jobs = False


class Scheduler(PostgresScheduler):
    """Beat that knows the test kinds."""

    menu = kinds.FAULTS_MENU


@signals.task_prerun.connect
def _take_order(args: Any, **_: Any) -> None:
    global _armed, _met_the_jobs
    _met_the_jobs = any([take_order(job_id) for job_id in args[0]])
    _armed = _armed or _met_the_jobs or take_order()


@signals.task_postrun.connect
def _end_a_survivor(**_: Any) -> None:
    # What was ordered for one job must not strike at another.
    if _met_the_jobs:
        os.kill(os.getpid(), signal.SIGKILL)
