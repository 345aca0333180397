"""Domain events in a Redis Stream, each topic's latest beside it, both written by one script.

The entry's id is the event's number, so publishing again adds nothing; and a number that does not follow the last one
shows that Redis has lost what was between them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from redis import Redis
from redis.exceptions import RedisError

from app.core.clock import rfc3339
from app.core.errors import Unavailable
from app.core.events import LATEST, LATEST_READY, MARKER, STREAM

JOB_KEEP_SECONDS = 86_400
"""A watched job's latest goes so long after its last change; everything else stays until its subject ends."""

# KEYS: stream, ready. ARGV: most entries, prefix of the hashes, seconds that a job's stays; then six for each event:
# number, topic, subject, time, payload, standing. Returns 0 and writes nothing when something before them is missing.
PUBLISH = """
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local last = 0
if newest[1] then last = tonumber(string.match(newest[1][1], '^%d+')) end
if tonumber(ARGV[4]) > last + 1 or redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
for i = 4, #ARGV, 6 do
    if tonumber(ARGV[i]) > last then
        local topic, subject, standing = ARGV[i + 1], ARGV[i + 2], ARGV[i + 5]
        redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], ARGV[i] .. '-0',
                   'topic', topic, 'subject', subject, 'at', ARGV[i + 3], 'payload', ARGV[i + 4])
        local latest = ARGV[2] .. topic
        if standing == 'end' then
            redis.call('HDEL', latest, subject)
        elseif standing == 'state' then
            redis.call('HSET', latest, subject, ARGV[i] .. ' ' .. ARGV[i + 3] .. ' ' .. ARGV[i + 4])
            if string.sub(topic, 1, 5) == 'jobs:' then redis.call('EXPIRE', latest, ARGV[3]) end
        end
    end
end
return 1
"""


class EventStream:
    """What the streaming process reads; `max_events` is how many the stream keeps, about."""

    def __init__(self, redis: Redis, max_events: int):
        self._redis = redis
        self._max_events = max_events
        self._publish = redis.register_script(PUBLISH)

    def publish(self, events: Sequence[Any]) -> bool:
        """Add numbered events in order; those that are there already are passed over. Raises Unavailable.

        False, and nothing is added, when Redis has lost what came before them: restore it first.
        """
        arguments: list[Any] = [self._max_events, LATEST, JOB_KEEP_SECONDS]
        for event in events:
            arguments += [event.number, event.topic, event.subject, _time(event.created_at)]
            arguments += [_json(event.payload), event.standing]
        try:
            return bool(self._publish(keys=[STREAM, LATEST_READY], args=arguments))
        except RedisError as error:
            raise _unavailable(error) from error

    def is_whole(self, last_published: int) -> bool:
        """Whether Redis still has what it was given; raises Unavailable."""
        try:
            return bool(self._redis.exists(LATEST_READY)) and self._last_number() >= last_published
        except RedisError as error:
            raise _unavailable(error) from error

    def begin_restore(self) -> None:
        """Take away every topic's latest, and the word that they are whole; raises Unavailable."""
        try:
            self._redis.delete(LATEST_READY)
            for key in self._redis.scan_iter(match=f"{LATEST}*", count=1000):
                self._redis.delete(key)
        except RedisError as error:
            raise _unavailable(error) from error

    def restore(self, rows: Sequence[Any]) -> None:
        """Put these subjects' latest back; raises Unavailable."""
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for row in rows:
                    key = LATEST + row.topic
                    pipe.hset(key, row.subject, f"{row.number} {_time(row.created_at)} {_json(row.payload)}")
                    if row.topic.startswith("jobs:"):
                        pipe.expire(key, JOB_KEEP_SECONDS)
                pipe.execute()
        except RedisError as error:
            raise _unavailable(error) from error

    def end_restore(self, last_published: int) -> None:
        """Say that they are whole again, and in the stream that what is missing up to here is lost."""
        try:
            if self._last_number() < last_published:
                marker: dict[Any, Any] = {"topic": MARKER, "subject": "", "at": "", "payload": "null"}
                self._redis.xadd(STREAM, marker, id=f"{last_published}-0")
            self._redis.set(LATEST_READY, 1)
        except RedisError as error:
            raise _unavailable(error) from error

    def _last_number(self) -> int:
        newest = cast(list[tuple[bytes, Any]], self._redis.xrevrange(STREAM, count=1))
        return int(newest[0][0].split(b"-")[0]) if newest else 0


def _time(moment: datetime) -> str:
    return rfc3339(moment)


def _json(payload: Any) -> str:
    return json.dumps(payload, separators=(",", ":"))


def _unavailable(error: RedisError) -> Unavailable:
    return Unavailable(f"Redis does not take events ({type(error).__name__}).")
