"""A process whose wall clock is wrong. Durations (`time.monotonic`) stay what they are, as on a machine set wrongly."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import time_machine
import uuid_utils

from app.core import db

CLOCK = "FAULTS_CLOCK_SECONDS"
"""The environment's name for how far ahead of the truth a process's clock is."""


_set = False


def set_clock() -> None:
    """From here on this process, and what it forks, believes the wrong time; a second call changes nothing."""
    global _set
    ahead = float(os.environ.get(CLOCK, "0"))
    if ahead and not _set:
        _set = True
        time_machine.travel(datetime.now(UTC) + timedelta(seconds=ahead)).start()
        # The library of ids asks the kernel past Python: it is told.
        db.uuid7 = lambda: UUID(bytes=uuid_utils.uuid7(nanoseconds=time.time_ns()).bytes)  # type: ignore[assignment]
