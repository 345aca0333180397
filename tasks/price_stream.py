"""Follows Hermes' stream, so that prices are known as they are published. An edge of its own, outside Celery.

Any number of replicas: recording takes whatever is newer. When the stream fails, prices are fetched once by REST and
the stream is tried again after a growing pause; the scheduled refresh goes on beside it in any case.
`python manage.py price-stream` runs one.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Mapping, Sequence
from threading import Event

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.core.clock import utc_now
from app.core.db import make_engine
from app.core.errors import AppError
from app.core.logging import get_logger
from app.core.redis import make_redis
from app.jobs.types import SYSTEM
from app.oracle.adapters import OracleParts
from app.oracle.adapters import from_settings as oracle_from_settings
from app.oracle.errors import SourceRefused
from app.oracle.services.feeds import get_feeds
from app.oracle.services.refresh import record_updates, refresh_prices
from app.oracle.types.prices import Feed
from app.perps.services.price_events import search_moved
from app.perps.types.protocol import PerpsProtocol
from config.groups import OracleSettings
from config.logging import configure_logging
from config.settings import Settings
from tasks.runtime import Runtime

log = get_logger(__name__)

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
REFUSED_PAUSE_SECONDS = 60.0  # a wrong key does not become right by asking
LOOK_SECONDS = 5.0
FEEDS_SECONDS = 30.0


class PriceStream:
    """One follower. `protocols` are those that this deployment keeps: a new price has their markets searched."""

    def __init__(
        self, engine: Engine, parts: OracleParts, settings: OracleSettings, protocols: Sequence[PerpsProtocol]
    ) -> None:
        self._engine = engine
        self._parts = parts
        self._protocols = protocols
        self._silence_seconds = settings.stream_silence_seconds
        self._record_seconds = settings.stream_record_seconds
        self._failures = 0

    def run(self, stop: Event) -> None:
        """Follow until `stop` is set, which is looked at with every update, and when the stream is silent for long."""
        while not stop.is_set():
            try:
                self._follow(stop)
            except (AppError, SQLAlchemyError) as error:
                self._failures += 1
                pause = self._pause_after(error)
                code = error.code if isinstance(error, AppError) else type(error).__name__
                log.warning("price_stream_failed", code=code, pause_seconds=round(pause, 1))
                self._fall_back()
                stop.wait(pause)

    def _follow(self, stop: Event) -> None:
        """Record what the stream brings, until the feeds that are followed change."""
        feeds = self._feeds()
        if not feeds:
            stop.wait(LOOK_SECONDS)
            return
        looked_at = time.monotonic()
        recorded_at = looked_at - self._record_seconds
        log.info("price_stream_opened", feeds=len(feeds))
        for updates in self._parts.source.stream(feeds, silence_seconds=self._silence_seconds):
            now = time.monotonic()
            if now - recorded_at >= self._record_seconds:
                with Session(self._engine) as session:
                    summary = record_updates(
                        session,
                        updates,
                        feeds=feeds,
                        trust=self._parts.trust,
                        window=self._parts.window,
                        now=utc_now(),
                    )
                    search_moved(session, self._protocols, set(summary.recorded), principal=SYSTEM)
                    session.commit()
                recorded_at, self._failures = now, 0
            if now - looked_at > FEEDS_SECONDS:
                looked_at = now
                if self._feeds().keys() != feeds.keys():
                    return
            if stop.is_set():
                return

    def _feeds(self) -> Mapping[bytes, Feed]:
        with Session(self._engine) as session:
            return {known.feed.id: known.feed for known in get_feeds(session)}

    def _fall_back(self) -> None:
        """The latest prices by REST; what fails there too is left to the next time."""
        parts = self._parts
        try:
            with Session(self._engine) as session:
                summary = refresh_prices(
                    session, source=parts.source, trust=parts.trust, window=parts.window, clock=utc_now
                )
                search_moved(session, self._protocols, set(summary.recorded), principal=SYSTEM)
                session.commit()
        except (AppError, SQLAlchemyError) as error:
            log.warning("price_stream_fallback_failed", reason=type(error).__name__)

    def _pause_after(self, error: Exception) -> float:
        if isinstance(error, SourceRefused):
            return REFUSED_PAUSE_SECONDS
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures, 10))
        asked = error.retry_after_seconds if isinstance(error, AppError) else None
        return max(asked or 0.0, pause * random.uniform(0.5, 1))  # noqa: S311 - spreads reconnections


def make_price_stream(settings: Settings) -> PriceStream:
    """A follower on the settings' Postgres and Hermes."""
    engine = make_engine(settings.database_url.get_secret_value(), pool_size=1)
    cache = make_redis(settings.cache_url.get_secret_value())
    parts = oracle_from_settings(settings.oracle, cache, chain_id=settings.chain.chain_id)
    context = Runtime(settings)
    return PriceStream(engine, parts, settings.oracle, () if context.signer is None else context.perps_protocols)


def serve(settings: Settings) -> None:
    """One follower until SIGTERM or SIGINT: what `manage.py price-stream` runs."""
    configure_logging(settings)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    log.info("price_stream_started")
    make_price_stream(settings).run(stop)
    log.info("price_stream_stopped")
