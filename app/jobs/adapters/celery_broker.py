"""Publishing wake-ups in batches, and counting what waits. Redis may be gone at any call: the rows remain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError

from app.core.errors import Unavailable
from app.jobs.types import JobKind

SENTINEL = "watchkeeper:dispatcher:sentinel"
HARD_LIMIT_GRACE_SECONDS = 15
GO_ON_GRACE_SECONDS = 1


@dataclass(frozen=True, slots=True)
class Message:
    """A wake-up for one job, or for many of a bulk kind. `dispatch` counts sendings of the first."""

    kind: JobKind
    ids: tuple[UUID, ...]
    dispatch: int


class CeleryBroker:
    """The broker Redis as the dispatcher sees it."""

    def __init__(self, celery: Celery, redis: Redis):
        self._celery = celery
        self._redis = redis

    def publish(self, messages: Sequence[Message]) -> None:
        """Send wake-ups in pipelined batches; raises Unavailable, after which some may have gone out and some not."""
        try:
            with self._celery.producer_pool.acquire(block=True, timeout=5) as producer, producer.batch(max_size=500):
                for message in messages:
                    self._send(producer, message)
        except (OperationalError, RedisError, OSError) as error:
            raise Unavailable(f"The broker does not take messages ({type(error).__name__}).") from error

    def _send(self, producer: object, message: Message) -> None:
        # A bulk message runs its jobs one after the other; the limit is the batch's. A worker may go on for a moment
        # with jobs behind the window, and the last of these has its whole time too.
        limit = message.kind.timeout_seconds + GO_ON_GRACE_SECONDS
        ids = [str(job_id) for job_id in message.ids]
        self._celery.send_task(
            message.kind.name,
            args=[ids],
            # What Flower shows; Celery would otherwise find out itself, which is a sixth of the cost of a message.
            argsrepr=f"({ids})",
            kwargsrepr="{}",
            # Never the job's id alone: Celery remembers revoked ids, and would then drop every later wake-up.
            task_id=f"{message.ids[0]}:{message.dispatch}",
            queue=str(message.kind.queue),
            declare=[],  # a queue of the Redis transport is a list: there is nothing to declare
            producer=producer,
            soft_time_limit=limit,
            time_limit=limit + HARD_LIMIT_GRACE_SECONDS,
        )

    def depths(self, queues: Iterable[str]) -> dict[str, int]:
        """How many messages wait in each queue; raises Unavailable."""
        names = list(queues)
        try:
            with self._redis.pipeline(transaction=False) as pipe:
                for name in names:
                    pipe.llen(name)
                return dict(zip(names, pipe.execute(), strict=True))
        except RedisError as error:
            raise Unavailable(f"The broker does not answer ({type(error).__name__}).") from error

    def was_emptied(self) -> bool:
        """True once after Redis lost its data: the sentinel key was gone, and this call set it anew."""
        try:
            return bool(self._redis.set(SENTINEL, "1", nx=True))
        except RedisError as error:
            raise Unavailable(f"The broker does not answer ({type(error).__name__}).") from error
