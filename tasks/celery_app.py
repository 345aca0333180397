"""The Celery application. `python -m celery -A tasks.celery_app worker -Q perps,liquidation`."""

from __future__ import annotations

from typing import Any

from celery import Celery, signals

from config.logging import configure_logging
from config.settings import load_settings

FEATURES = ("tasks.jobs", "tasks.chain", "tasks.oracle", "tasks.perps", "tasks.ops")

celery_app = Celery("watchkeeper", include=list(FEATURES))
celery_app.config_from_object("celeryconfig")


@signals.setup_logging.connect
def _configure_logging(**_: Any) -> None:
    # Connecting to this signal keeps Celery from configuring the loggers its own way.
    configure_logging(load_settings())
