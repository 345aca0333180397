"""Structured logging for every process: one line an event, with the ids bound to the present work."""

from __future__ import annotations

import structlog
from structlog.stdlib import BoundLogger


def get_logger(name: str) -> BoundLogger:
    """The logger of a module."""
    logger: BoundLogger = structlog.stdlib.get_logger(name)
    return logger
