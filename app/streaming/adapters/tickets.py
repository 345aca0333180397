"""One-use tickets in the cache: lost with it when it is flushed, like the marks that would have ended them."""

from __future__ import annotations

import hashlib
import secrets

import msgspec
from redis import Redis
from redis.exceptions import RedisError

from app.core.errors import Unavailable
from app.core.http.principal import Principal
from app.streaming.types import Ticket

PREFIX = "wk:stream_ticket:"
TICKET_BYTES = 32


class Tickets:
    """Where the API leaves tickets; only a hash of each is in Redis."""

    def __init__(self, redis: Redis, seconds: int):
        self._redis = redis
        self.seconds = seconds

    def now_ms(self) -> int:
        """Redis's time, which marks have too; raises Unavailable without the cache."""
        try:
            seconds, microseconds = self._redis.time()
        except RedisError as error:
            raise _unavailable(error) from error
        return seconds * 1000 + microseconds // 1000

    def put(self, principal: Principal, topics: tuple[str, ...], issued_ms: int) -> str:
        """A new ticket, which works once and for some seconds; raises Unavailable without the cache.

        The principal was authenticated after `issued_ms`.
        """
        word = secrets.token_urlsafe(TICKET_BYTES)
        subjects = (principal.credential_id or "", principal.id.removeprefix("user:"))
        ticket = Ticket(principal.id, subjects, topics, issued_ms, principal.expires_at)
        try:
            self._redis.set(key_of(word), msgspec.json.encode(ticket), ex=self.seconds)
        except RedisError as error:
            raise _unavailable(error) from error
        return word


def _unavailable(error: RedisError) -> Unavailable:
    return Unavailable(f"Redis does not take tickets ({type(error).__name__}).")


def key_of(word: str) -> str:
    """Where a ticket lies."""
    return PREFIX + hashlib.sha256(word.encode()).hexdigest()
