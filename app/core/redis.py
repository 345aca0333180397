"""Redis clients. redis-py 8 gives up a socket after 5 s, so a client that blocks says how long it may."""

from __future__ import annotations

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def make_redis(url: str, *, timeout_seconds: float = 1.0) -> Redis:
    """A client that fails fast: callers treat Redis as something that may be gone."""
    return Redis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        socket_keepalive=True,
        health_check_interval=15,
        retry=Retry(NoBackoff(), 1),
    )


def make_blocking_redis(url: str, *, block_seconds: float) -> Redis:
    """A client for BRPOP, XREAD and subscriptions that wait up to `block_seconds`."""
    return make_redis(url, timeout_seconds=block_seconds + 5.0)
