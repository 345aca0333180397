"""Plain Celery on Redis, in the two forms that projects run it: as it comes, and hardened as its documentation advises.

`PLAIN_PROFILE` chooses; `BROKER_URL` and `DATABASE_URL` say where. The effect is a plain INSERT: who wants
it once has to write it so that it can be repeated, which the documentation asks for with late acknowledgement.
"""

from __future__ import annotations

import os
import signal
import time
from functools import cache
from typing import Any

from celery import Celery
from sqlalchemy import Connection, Engine, create_engine, text
from sqlalchemy.exc import InterfaceError, OperationalError

PROFILE = os.environ.get("PLAIN_PROFILE", "defaults")

# Both forms. The rest of what is recommended for Redis is Celery's own default: prefetch 4, `task_publish_retry`.
COMMON: dict[str, Any] = {
    "task_ignore_result": True,  # nobody asks for the results; storing them would only cost
    "broker_connection_retry_on_startup": True,
    "beat_schedule": {"tick": {"task": "plain.tick", "schedule": 1.0}},
}
PROFILES: dict[str, dict[str, Any]] = {
    "defaults": {},
    # "Late acknowledgement" and what its pages name with it.
    "hardened": {
        "task_acks_late": True,  # acknowledged when done, so a dead worker's task is not gone
        "task_reject_on_worker_lost": True,  # also when only the pool's child died
        "task_retry_on_worker_lost": True,  # 5.7: the same with a bound, against a task that kills every child
        "worker_prefetch_multiplier": 1,  # advised with late acknowledgement: less in the hands of who dies
        # Redelivered after so long. The default is an hour; so short a time shows the redelivery within a run, and
        # restoring every second rather than every hundred does not hide it.
        "broker_transport_options": {
            "visibility_timeout": int(os.environ.get("PLAIN_VISIBILITY_SECONDS", "10")),
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "socket_keepalive": True,
        },
    },
}
TASK_OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    # "Automatic retry for known exceptions", with its backoff.
    "hardened": {
        "autoretry_for": (OperationalError, InterfaceError),
        "retry_backoff": True,
        "max_retries": 5,
        "default_retry_delay": 1,
    },
}
TABLES = (
    "CREATE TABLE plain_jobs (id bigserial PRIMARY KEY, milliseconds int NOT NULL, die boolean NOT NULL)",
    "CREATE TABLE plain_bodies (job_id bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())",
    "CREATE TABLE plain_effects (job_id bigint NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())",
    "CREATE TABLE plain_ticks (at timestamptz NOT NULL DEFAULT clock_timestamp())",
)
BODY = text("INSERT INTO plain_bodies (job_id) VALUES (:job_id)")
EFFECT = text("INSERT INTO plain_effects (job_id) VALUES (:job_id)")
TICK = text("INSERT INTO plain_ticks DEFAULT VALUES")

app = Celery("plain", broker=os.environ.get("BROKER_URL"))
app.conf.update(COMMON | PROFILES[PROFILE])


@cache
def engine(pid: int) -> Engine:
    """A process's own pool; a forked child makes its own."""
    return create_engine(os.environ["DATABASE_URL"], pool_pre_ping=True)


def write(statement: Any, **values: Any) -> None:
    """One statement in a transaction of its own."""
    with engine(os.getpid()).begin() as connection:
        connection.execute(statement, values)


def make_tables(connection: Connection) -> None:
    """The baseline's tables."""
    for table in TABLES:
        connection.execute(text(table))


@app.task(name="plain.noop")
def noop() -> None:
    """Do nothing: what the queue alone costs."""


@app.task(name="plain.work", **TASK_OPTIONS[PROFILE])
def work(job_id: int, milliseconds: int = 0, die: bool = False) -> None:
    """Note that the body began, take the time, write the effect: two commits."""
    write(BODY, job_id=job_id)
    if die:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(milliseconds / 1000)
    write(EFFECT, job_id=job_id)


@app.task(name="plain.tick", **TASK_OPTIONS[PROFILE])
def tick() -> None:
    """What beat sends every second."""
    write(TICK)
