"""The real Celery application with the storms' kinds; a child meets the strike of the job that it is handed."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from celery import signals

from tasks.base import job_task
from tasks.celery_app import celery_app
from tasks.chain import watch_transactions
from tests.faults.money.kinds import PAY, WATCH, pay
from tests.faults.money.strikes import FOLDER, Strikes

app = celery_app
strikes = Strikes(Path(os.environ[FOLDER]))
job_task(PAY)(pay)
job_task(WATCH)(watch_transactions.work)
_armed = False


@signals.task_prerun.connect
def _arm(args: Any, **_: Any) -> None:
    global _armed
    for job_id in args[0]:
        _armed = strikes.arm_for(job_id) or _armed


@signals.task_postrun.connect
def _end_a_survivor(**_: Any) -> None:
    # Its strike is for that one job: the next one gets a fresh process.
    if _armed:
        os.kill(os.getpid(), signal.SIGKILL)
