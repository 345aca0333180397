"""How every process logs: JSON lines (or coloured ones for a person), the standard library's loggers folded in."""

from __future__ import annotations

import json
import logging
import logging.config
from typing import Any, TextIO

import structlog

from app.core.logging import escape_controls, redact
from config.settings import Settings

# One for all lines (json.dumps makes one a call); ASCII, so that no Unicode line break gets through.
_ENCODER = json.JSONEncoder(default=repr)


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging alike; call once, at a process's start.

    Lines go to `stream`, the standard error stream unless given.
    """
    # No line names a caller's file, thread or process: looking for them takes longer than writing the line.
    logging._srcfile = None
    logging.logThreads = logging.logMultiprocessing = logging.logProcesses = False
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    handler: dict[str, Any] = {"class": "logging.StreamHandler", "formatter": "line"}
    if stream is not None:
        handler["stream"] = stream
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": _last_processors(settings.log_format),
                    "foreign_pre_chain": shared,
                }
            },
            "handlers": {"out": handler},
            # At DEBUG it writes whole paths, and some suppliers have their key in the path.
            "loggers": {"urllib3": {"level": "INFO"}},
            "root": {"handlers": ["out"], "level": settings.log_level},
        }
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _last_processors(log_format: str) -> list[Any]:
    """What every record passes last, whoever wrote it: the traceback as text, then no secrets, then the line."""
    common = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        structlog.processors.StackInfoRenderer(),
        redact,
    ]
    if log_format == "console":
        return [*common, escape_controls, structlog.dev.ConsoleRenderer()]
    return [*common, structlog.processors.JSONRenderer(serializer=_as_json)]


def _as_json(line: Any, **_: Any) -> str:
    return _ENCODER.encode(line)
