"""The latest prices in Redis for a few seconds, so that readers do not each ask Postgres.

One value holds every feed: a read is one round trip whatever it asks for. O(feeds), about 250 bytes each. The cache is
an aid: when it fails, callers get nothing from it, which they take as a miss, and it is left alone for some seconds.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from redis import Redis, RedisError

from app.core.logging import get_logger
from app.oracle.types.prices import FeedPrice

log = get_logger(__name__)

KEY = "oracle:latest:1"
PAUSE_SECONDS = 5.0
_DECODER = msgspec.json.Decoder(list[FeedPrice])


class PriceCache:
    """The cache behind price reads; `seconds` is how old an entry may get, 0 turns it off."""

    def __init__(self, redis: Redis, seconds: int) -> None:
        self._redis = redis
        self._seconds = seconds
        self._paused_until = 0.0

    def find(self) -> Sequence[FeedPrice] | None:
        """Every feed with its latest price as it was at most `seconds` ago, or None."""
        if not self._usable():
            return None
        try:
            value = self._redis.get(KEY)
            return None if value is None else _DECODER.decode(value)
        except (RedisError, msgspec.MsgspecError) as error:
            self._pause("read", error)
            return None

    def put(self, prices: Sequence[FeedPrice]) -> None:
        """Remember what Postgres says now. Only what is committed may be put here."""
        if not self._usable():
            return
        try:
            self._redis.set(KEY, msgspec.json.encode(prices), ex=self._seconds)
        except RedisError as error:
            self._pause("write", error)

    def _usable(self) -> bool:
        return self._seconds > 0 and time.monotonic() >= self._paused_until

    def _pause(self, what: str, error: Exception) -> None:
        self._paused_until = time.monotonic() + PAUSE_SECONDS
        log.warning("price_cache_failed", what=what, error=type(error).__name__, pause_seconds=PAUSE_SECONDS)
