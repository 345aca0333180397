"""The cache as the `stream` role reads it: tickets, taken once, and marks of credentials that have changed."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Mapping

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.accounts.types import EPOCH, MARK
from app.streaming.adapters.tickets import key_of
from app.streaming.errors import SourceGone
from app.streaming.types import Ticket

DECODER = msgspec.json.Decoder(Ticket)
MANY = 1000


class StandingReader:
    """Asks the cache; each call raises SourceGone when it does not answer."""

    def __init__(self, redis: Redis):
        self._redis = redis

    async def take(self, word: str) -> Ticket | None:
        """The ticket, which nobody gets again; None when there is none."""
        try:
            found = await self._redis.getdel(key_of(word))
        except (RedisError, OSError) as error:
            raise SourceGone() from error
        return None if found is None else DECODER.decode(found)

    async def changes(self, subjects: Collection[str]) -> Mapping[str, int]:
        """Those of the subjects that are marked, with Redis's time then in milliseconds."""
        wanted = list(subjects)
        found: dict[str, int] = {}
        try:
            for start in range(0, len(wanted), MANY):
                some = wanted[start : start + MANY]
                marks = await self._redis.mget([MARK + subject for subject in some])
                found |= {subject: int(mark) for subject, mark in zip(some, marks, strict=True) if mark is not None}
        except (RedisError, OSError) as error:
            raise SourceGone() from error
        return found

    async def epoch(self) -> object:
        """The cache's word; another one than before says that it has lost its marks."""
        try:
            found = await self._redis.get(EPOCH)
            if found is None:
                await self._redis.set(EPOCH, secrets.token_hex(8), nx=True)
                found = await self._redis.get(EPOCH)
        except (RedisError, OSError) as error:
            raise SourceGone() from error
        return found
