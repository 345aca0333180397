"""Domain events in a Redis Stream. The entry's id is the event's number, so publishing again adds nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from app.core.errors import Unavailable

STREAM = "watchkeeper:events"
MAX_EVENTS = 100_000


class EventStream:
    """The one stream that the streaming process reads."""

    def __init__(self, redis: Redis):
        self._redis = redis

    def publish(self, events: Sequence[Any]) -> None:
        """Add numbered events in order; those that are there already are passed over. Raises Unavailable."""
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for event in events:
                    fields: dict[Any, Any] = {
                        "topic": event.topic,
                        "subject": event.subject,
                        "at": event.created_at.isoformat(),
                        "payload": json.dumps(event.payload, separators=(",", ":")),
                    }
                    pipe.xadd(STREAM, fields, id=f"{event.number}-0", maxlen=MAX_EVENTS, approximate=True)
                for answer in pipe.execute(raise_on_error=False):
                    # A number at or below the stream's last was published before, by a process that then died.
                    if isinstance(answer, Exception) and not _is_already_there(answer):
                        raise answer
        except RedisError as error:
            raise Unavailable(f"Redis does not take events ({type(error).__name__}).") from error


def _is_already_there(error: Exception) -> bool:
    return isinstance(error, ResponseError) and "equal or smaller" in str(error)
