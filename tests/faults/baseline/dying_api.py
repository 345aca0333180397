"""The plain API, whose process dies once: the row is committed, and `.delay()` is about to publish."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from celery.signals import before_task_publish
from flask import Flask

from bench.baselines import plain_api

ONCE = "PLAIN_DIES_ONCE"
AT_JOB = 10
_published = 0


def create_app() -> Flask:
    """The baseline's app; the signal is Celery's own."""
    before_task_publish.connect(_die)
    return plain_api.create_app()


def _die(**_: Any) -> None:
    global _published
    _published += 1
    once = Path(os.environ[ONCE])
    if _published == AT_JOB and not once.exists():
        once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
