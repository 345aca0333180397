"""What runs by itself, and when: seeded into Postgres by `manage.py migrate`; operators' overrides survive a deploy."""

from __future__ import annotations

from app.jobs.types import ScheduleEntry
from config.settings import Settings


def schedule(settings: Settings) -> tuple[ScheduleEntry, ...]:
    """The table: a name, a sentence, a kind, a cadence, and what an outage or an overlap means."""
    return ()
