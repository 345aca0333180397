"""The `stream` role: SSE and WebSocket on a port of its own. `python manage.py stream` runs one process.

It has no database. The server runs inside our own loop, for a SIGTERM has to reach every client before the sockets go.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

from granian.constants import Interfaces
from granian.server.embed import Server
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.core.clock import utc_now
from app.core.logging import get_logger
from app.streaming.adapters.events import BLOCK_SECONDS, EventSource
from app.streaming.adapters.standing import StandingReader
from app.streaming.routes.asgi import StreamApp
from app.streaming.services.gauges import Gauges
from app.streaming.services.hub import Hub
from app.streaming.services.watching import Watch, beat
from config.logging import configure_logging
from config.settings import Settings

BACKLOG = 2048
MAX_REDIS_CONNECTIONS = 16
POOL_SECONDS = 10.0
PAGES = 4
"""A burst is taken in by parts of a queue, so that who reads in time is never cut for its size."""

log = get_logger(__name__)


def make_client(url: str, *, timeout_seconds: float) -> Redis:
    """An asyncio client that fails fast, like `app/core/redis.py` makes them for threads.

    A thousand clients may come in one moment: they share a few connections, and wait for one rather than fail.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=MAX_REDIS_CONNECTIONS,
        timeout=POOL_SECONDS,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 1),
    )
    return Redis.from_pool(pool)


async def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; then every client is told to come back with its last id."""
    own = settings.stream
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    broker = make_client(settings.broker_url.get_secret_value(), timeout_seconds=BLOCK_SECONDS + 4.0)
    cache = make_client(settings.cache_url.get_secret_value(), timeout_seconds=1.0)
    gauges, source, standings = Gauges(utc_now), EventSource(broker, own.queue_events // PAGES), StandingReader(cache)
    hub = Hub(
        source,
        gauges,
        keep=own.keep_events,
        max_connections=own.max_connections,
        max_per_principal=own.max_per_principal,
    )
    token = settings.metrics_token
    app = StreamApp(
        hub=hub,
        source=source,
        standings=standings,
        gauges=gauges,
        clock=utc_now,
        queue_events=own.queue_events,
        max_message_bytes=own.max_message_bytes,
        close_seconds=own.close_seconds,
        cors_origins=settings.http.cors_origins,
        metrics_token=token.get_secret_value() if token else None,
    )
    server = Server(
        app, address=own.host, port=own.port, interface=Interfaces.ASGINL, backlog=BACKLOG, log_enabled=False
    )
    watch = Watch(hub, standings, utc_now)
    tasks = [
        asyncio.create_task(work) for work in (server.serve(), hub.run(), watch.run(), beat(hub, own.heartbeat_seconds))
    ]
    stopping = asyncio.create_task(stop.wait())
    log.info("stream_started", port=own.port)
    await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    await hub.close(own.close_seconds)
    server.stop()
    for task in tasks[1:]:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
    log.info("stream_stopped")


def serve(settings: Settings) -> None:
    """One process, until it is told to stop."""
    configure_logging(settings)
    asyncio.run(run(settings))
