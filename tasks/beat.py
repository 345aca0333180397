"""`celery beat` with its schedules in Postgres: any number of replicas, no double firing, no slot lost.

`python -m celery -A tasks.celery_app beat -S tasks.beat:PostgresScheduler --pidfile=`
"""

from __future__ import annotations

from signal import SIGINT, SIGTERM, signal
from typing import Any

from celery import signals
from celery.beat import Scheduler, Service
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core.failpoints import failpoint
from app.core.logging import get_logger
from app.jobs.services.schedules import tick
from app.jobs.types import Menu
from app.menu import MENU
from tasks.runtime import runtime

log = get_logger(__name__)
PAUSE_SECONDS = 0.25
MOST_SCHEDULES_A_TICK = 1000


class PostgresScheduler(Scheduler):
    """Fires due rows of `schedules` as jobs; the dispatcher sends the messages. Sends nothing to the broker itself."""

    menu: Menu = MENU

    def __init__(self, *args: Any, **kwargs: Any):
        self._stopping = False
        kwargs["max_interval"] = PAUSE_SECONDS
        super().__init__(*args, **kwargs)

    def setup_schedule(self) -> None:
        """Nothing to load: each tick reads the rows."""

    @property
    def schedule(self) -> dict[str, Any]:
        """Celery's own entries: none."""
        return {}

    def tick(self, *_: Any, **__: Any) -> float:
        """Fire what is due, a transaction a schedule; returns the seconds to sleep."""
        if self._stopping:
            raise SystemExit
        context = runtime()
        try:
            with Session(context.engine) as session:
                fired = 0
                while fired < MOST_SCHEDULES_A_TICK and tick(session, self.menu) is not None:
                    failpoint("beat.commit.before")
                    session.commit()
                    failpoint("beat.commit.after")
                    fired += 1
        except SQLAlchemyError as error:
            log.warning("beat_tick_failed", reason=type(error).__name__)
            return 1.0
        if fired:
            context.waker.wake()
        return PAUSE_SECONDS

    def stop_between_ticks(self, *_: Any) -> None:
        """Celery's handler raises SystemExit wherever the signal falls: in a callback it is lost, and beat goes on."""
        self._stopping = True

    def sync(self) -> None:
        """Nothing is kept in memory."""

    @property
    def info(self) -> str:
        """What Celery's banner prints."""
        return "    . schedules -> postgres"


@signals.beat_init.connect
def _take_over_the_stop_signals(sender: Service, **_: Any) -> None:
    for number in (SIGTERM, SIGINT):
        signal(number, sender.scheduler.stop_between_ticks)
