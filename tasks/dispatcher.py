"""The dispatcher's loop: an edge of its own, outside Celery, so that it never waits behind the backlog it must heal.

Any number of replicas. `python manage.py dispatcher` runs one.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Collection, Mapping
from threading import Event

from celery import Celery
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core.db import make_engine
from app.core.errors import Unavailable
from app.core.failpoints import arm
from app.core.logging import get_logger
from app.core.redis import make_blocking_redis, make_redis
from app.jobs.adapters.celery_broker import CeleryBroker
from app.jobs.adapters.event_stream import EventStream
from app.jobs.adapters.wake import EVERY_QUEUE, WAKE_CHANNEL
from app.jobs.services import dispatch, outbox
from app.jobs.types import Menu, Queue
from app.menu import MENU
from config.groups import JobsSettings
from config.logging import configure_logging
from config.settings import Settings

log = get_logger(__name__)
LONGEST_PAUSE_SECONDS = 5.0
REFILL_SECONDS = 0.01
BULK_WINDOW = 10


class Dispatcher:
    """One replica. Every round is short; what fails is tried again with a growing pause, and the rows wait."""

    def __init__(
        self, engine: Engine, publisher: Celery, redis: Redis, listener: Redis, menu: Menu, settings: Settings
    ):
        self._engine = engine
        self._autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._broker = CeleryBroker(publisher, redis)
        self._stream = EventStream(redis, settings.stream.keep_events)
        self._listener = listener
        self._menu = menu
        self._jobs: JobsSettings = settings.jobs
        self._windows = windows(settings)
        self._next_maintenance = 0.0
        self._next_look_everywhere = 0.0
        self._is_behind = False
        self._subscription = listener.pubsub(ignore_subscribe_messages=True)

    def run(self, stop: Event) -> None:
        """Work until `stop` is set."""
        failures = 0
        queues: Collection[str] = ()
        while not stop.is_set():
            try:
                moved = self.round(queues)
                failures = 0
            except (Unavailable, SQLAlchemyError) as error:
                failures += 1
                pause = min(LONGEST_PAUSE_SECONDS, 0.05 * 2**failures) * random.uniform(0.5, 1)  # noqa: S311
                log.warning("dispatcher_round_failed", reason=type(error).__name__, pause_seconds=round(pause, 2))
                stop.wait(pause)
                continue
            # While a backlog lasts the window is refilled in portions, not for each message that a worker takes.
            queues = self._wait_for_work(stop, REFILL_SECONDS if moved else self._jobs.poll_seconds)

    def round(self, queues: Collection[str] = ()) -> int:
        """Publish what is ready, in the given queues or in all; once in a while look for what got lost.

        Returns how much moved.
        """
        if time.monotonic() >= self._next_maintenance:
            with Session(self._engine) as session:
                self._maintain(session)
            self._next_maintenance = time.monotonic() + self._jobs.maintenance_seconds
        elif self._is_behind:
            with Session(self._engine) as session:
                self._sweep(session)
        with self._autocommit.connect() as connection:
            moved = dispatch.publish_ready(
                connection, self._broker, self._menu, self._windows_of(queues), bulk_size=self._jobs.bulk_size
            )
        with Session(self._engine) as session:
            moved += outbox.publish_events(session, self._stream, commit=session.commit)
        return moved + self._is_behind

    def _windows_of(self, queues: Collection[str]) -> Mapping[str, int]:
        # Also while wake-ups keep naming one queue, each of the others is looked at as often as the poll would.
        now = time.monotonic()
        named = {queue: self._windows[queue] for queue in queues if queue in self._windows}
        if named and now < self._next_look_everywhere:
            return named
        self._next_look_everywhere = now + self._jobs.poll_seconds
        return self._windows

    def _maintain(self, session: Session) -> None:
        # Each chore commits by itself, so that a failing one does not undo the others.
        chores: tuple[Callable[[], int], ...] = (
            lambda: dispatch.rescue_and_expire(session, max_crashes=self._jobs.max_crashes),
            lambda: dispatch.start_callbacks(session),
            lambda: dispatch.resend_lost(
                session,
                self._broker,
                self._menu,
                bulk_size=self._jobs.bulk_size,
                after_seconds=self._jobs.resend_after_seconds,
            ),
            lambda: outbox.restore_lost(session, self._stream),
        )
        for chore in chores:
            chore()
            session.commit()
        self._sweep(session)

    def _sweep(self, session: Session) -> None:
        # A batch is small, so that no message waits for it; while there is a full one, every round takes another.
        self._is_behind = dispatch.sweep(session, archive_after_seconds=self._jobs.archive_after_seconds)
        session.commit()

    def _wait_for_work(self, stop: Event, seconds: float) -> Collection[str]:
        """The queues that the wake-ups named; none when all are to be looked at, also because the time was up."""
        try:
            if not self._subscription.subscribed:
                self._subscription.subscribe(WAKE_CHANNEL)
            named = []
            message = self._subscription.get_message(timeout=seconds)
            while message is not None:  # one round serves every wake-up that came before it
                named.append(message["data"].decode())
                message = self._subscription.get_message(timeout=0)
        except (RedisError, OSError) as error:
            log.warning("wake_up_channel_down", reason=type(error).__name__)
            self._subscription.close()
            self._subscription = self._listener.pubsub(ignore_subscribe_messages=True)
            stop.wait(self._jobs.poll_seconds)
            return ()
        return () if EVERY_QUEUE in named else frozenset(named)


def windows(settings: Settings) -> Mapping[str, int]:
    """How many published, unclaimed jobs each queue may have; on the bulk queue a message holds many."""
    size = max(settings.jobs.window_min, settings.jobs.window_per_worker * settings.worker_concurrency)
    return {str(queue): size * BULK_WINDOW if queue is Queue.BULK else size for queue in Queue}


def make_dispatcher(settings: Settings, menu: Menu) -> Dispatcher:
    """A dispatcher on the settings' Postgres and broker."""
    url = settings.broker_url.get_secret_value()
    engine = make_engine(settings.database_url.get_secret_value(), pool_size=1)
    listener = make_blocking_redis(url, block_seconds=settings.jobs.poll_seconds)
    publisher = Celery("watchkeeper")
    publisher.config_from_object("celeryconfig")
    publisher.conf.broker_url = url
    return Dispatcher(engine, publisher, make_redis(url), listener, menu, settings)


def serve(settings: Settings, menu: Menu = MENU) -> None:
    """One dispatcher until SIGTERM or SIGINT: what `manage.py dispatcher` runs."""
    configure_logging(settings)
    arm(**settings.failpoint.model_dump())
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("dispatcher_started")
    make_dispatcher(settings, menu).run(stop)
    log.info("dispatcher_stopped")
