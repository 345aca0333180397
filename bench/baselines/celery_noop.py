"""Raw Celery on Redis, set for speed: no results, early acknowledgement, JSON, the broker's own defaults.

`noop` is what the queue alone costs; `two_commits` adds what any queue must pay that keeps its jobs in Postgres: the
start and the end of a job each made durable, by one bare statement on a pooled connection, no ORM. `stamp` says when it
began.
"""

from __future__ import annotations

import os
import time
from functools import cache

from celery import Celery
from psycopg2.pool import ThreadedConnectionPool
from redis import Redis

POOL_SIZE = 8
TABLE = "CREATE TABLE work (id bigint PRIMARY KEY, state smallint NOT NULL DEFAULT 0)"
DELAYS = "bench:delays"

app = Celery("baseline", broker=os.environ.get("BROKER_URL"))
app.conf.update(
    task_ignore_result=True,
    worker_send_task_events=True,  # as ours: Flower shall see them
    broker_connection_retry_on_startup=True,
    task_default_queue="baseline",
)


@cache
def pool(_pid: int) -> ThreadedConnectionPool:
    """A process's own connections; a forked child makes its own."""
    return ThreadedConnectionPool(1, POOL_SIZE, os.environ["WORK_URL"])


@cache
def redis(_pid: int) -> Redis:
    """A process's own client."""
    return Redis.from_url(os.environ["BROKER_URL"])


@app.task(name="baseline.noop")
def noop(_job_id: str | None = None) -> None:
    """Do nothing."""


@app.task(name="baseline.two_commits")
def two_commits(work_id: int) -> None:
    """The job's row is claimed, and ended: one statement, one commit, one round trip each."""
    connections = pool(os.getpid())
    connection = connections.getconn()
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("UPDATE work SET state = 1 WHERE id = %s AND state = 0", (work_id,))
            cursor.execute("UPDATE work SET state = 2 WHERE id = %s AND state = 1", (work_id,))
    finally:
        connections.putconn(connection)


@app.task(name="baseline.stamp")
def stamp(sent_at: float) -> None:
    """Note how long the message took to get here, in seconds."""
    redis(os.getpid()).rpush(DELAYS, repr(time.time() - sent_at))
