"""The broker as the `stream` role reads it: the event stream, and the subjects' latest at one of its numbers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.core.events import LATEST, LATEST_READY, STREAM
from app.streaming.errors import SourceGone
from app.streaming.maths.topics import names_of
from app.streaming.maths.wire import event_text
from app.streaming.types import Topic

BLOCK_SECONDS = 1.0
READERS = 8
"""Snapshots read at once; fewer than the client has connections, so that the stream itself always has one."""


class Entry(NamedTuple):
    """One entry of the stream, as it stands there."""

    number: int
    topic: str
    subject: str
    at: str
    payload: str


class EventSource:
    """Asks the broker; each call raises SourceGone when it does not answer. `page`: how many entries at once."""

    def __init__(self, redis: Redis, page: int):
        self._redis = redis
        self.page = page
        self._readers = asyncio.Semaphore(READERS)

    async def after(self, number: int) -> list[Entry]:
        """The next entries of the stream, up to a page; waits a moment for one, and may return none."""
        try:
            answer = await self._redis.xread({STREAM: f"{number}-0"}, count=self.page, block=int(BLOCK_SECONDS * 1000))
        except (RedisError, OSError) as error:
            raise SourceGone() from error
        return [_entry(entry) for entry in _entries(answer)]

    async def newest(self) -> int:
        """The last number of the stream; 0 when it is empty."""
        try:
            found: Any = await self._redis.xrevrange(STREAM, count=1)
        except (RedisError, OSError) as error:
            raise SourceGone() from error
        return _number(found[0][0]) if found else 0

    async def latest(self, topics: Sequence[Topic]) -> tuple[int, dict[str, list[str]]] | None:
        """The topics' latest as events, and the number up to which they are; None while Redis is being restored."""
        try:
            async with self._readers, self._redis.pipeline(transaction=True) as pipe:
                pipe.exists(LATEST_READY)
                pipe.xrevrange(STREAM, count=1)
                for topic in topics:
                    if topic.subject is None:
                        pipe.hgetall(LATEST + topic.channel)
                    else:
                        pipe.hget(LATEST + topic.channel, topic.subject)
                ready, newest, *answers = await pipe.execute()
        except (RedisError, OSError) as error:
            raise SourceGone() from error
        if not ready:
            return None
        found = {topic.name: _items(topic, answer) for topic, answer in zip(topics, answers, strict=True)}
        return (_number(newest[0][0]) if newest else 0), found


def _items(topic: Topic, answer: Any) -> list[str]:
    """A hash, or the value of one subject, as events by number."""
    values = {topic.subject.encode(): answer} if topic.subject is not None else answer
    split = [(subject, value.decode().split(" ", 2)) for subject, value in values.items() if value is not None]
    items = [
        (int(number), event_text(int(number), names_of(topic.channel, subject.decode())[-1], at, payload))
        for subject, (number, at, payload) in split
    ]
    return [text for _, text in sorted(items)]


def _entries(answer: Any) -> list[Any]:
    """Of an answer to XREAD: a list of streams or a mapping, by protocol version."""
    if not answer:
        return []
    if isinstance(answer, dict):
        (found,) = answer.values()
        return list(found[0] if found and isinstance(found[0], list) else found)
    return list(answer[0][1])


def _entry(entry: Any) -> Entry:
    entry_id, fields = entry
    text = [fields[name].decode() for name in (b"topic", b"subject", b"at", b"payload")]
    return Entry(_number(entry_id), *text)


def _number(entry_id: bytes) -> int:
    return int(entry_id.split(b"-")[0])
