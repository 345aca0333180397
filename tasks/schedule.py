"""What runs by itself, and when: seeded into Postgres by `manage.py migrate`; operators' overrides survive a deploy."""

from __future__ import annotations

from app.jobs.types import Cadence, ScheduleEntry
from app.ops.jobs import PRUNE
from app.oracle.jobs import REFRESH_PRICES
from config.settings import Settings


def schedule(settings: Settings) -> tuple[ScheduleEntry, ...]:
    """The table: a name, a sentence, a kind, a cadence, and what an outage or an overlap means."""
    return (
        ScheduleEntry(
            name="prices",
            summary="The latest price of every feed that is followed.",
            kind=REFRESH_PRICES,
            cadence=Cadence(interval_seconds=settings.perps.price_seconds),
        ),
        ScheduleEntry(
            name="prune",
            summary="Partitions for the coming days; old rows forgotten.",
            kind=PRUNE,
            cadence=Cadence(crontab="17 3 * * *"),
        ),
    )
