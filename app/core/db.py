"""Postgres: the declarative base, engines and sessions. Sessions are handed down; only the edges commit."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, MetaData, create_engine, event, text
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry
from uuid_utils.compat import uuid7

STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
SILENCE_MS = 30_000
IDLE_IN_TRANSACTION_MS = 60_000
PING_AFTER_SECONDS = 1.0
MIGRATED = text("SELECT to_regclass('alembic_version')")
WRITTEN = text("SELECT pg_current_xact_id_if_assigned()")  # a transaction gets an id with its first write or row lock

# SQLSTATEs with which the server says that it cannot work now, whoever asks: out of connections, memory or disk;
# stopping or starting; I/O; a standby in the place of the primary. Not a cancelled statement (57014).
OUT_OF_ORDER = ("53", "57P", "58", "25006")


OpenSession = Callable[[], Session]
"""For what needs a session only sometimes: making one costs a short request a twentieth of its time."""


class Base(DeclarativeBase):
    """Base of every table; the naming convention lets Alembic name what it drops."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def new_id() -> UUID:
    """A UUIDv7: unique, and in the order of its making, so that a keyset cursor needs no second column."""
    return uuid7()


def engine_options(pool_size: int) -> dict[str, object]:
    """What both Flask-SQLAlchemy and the workers pass to `create_engine`."""
    return {
        "pool_size": pool_size,
        "max_overflow": 0,
        "pool_timeout": 1,  # pools are as large as what uses them: who waits here has met something broken
        "use_native_hstore": False,  # we have none, and it is looked for on each connection
        "hide_parameters": True,  # an error's text goes to the log, and parameters hold password hashes
        "connect_args": {
            "connect_timeout": 5,
            "application_name": "watchkeeper",
            # A network that swallows packets: without these the kernel gives a dead connection up after two hours.
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": SILENCE_MS,
            "options": (
                f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
                f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}"
            ),
        },
    }


def make_engine(url: str, *, pool_size: int = 2) -> Engine:
    """An engine for one process. Make it after a fork, never before."""
    engine = create_engine(url, **engine_options(pool_size))
    ping_after_rest(engine)
    return engine


def has_tables(engine: Engine) -> bool:
    """False for a database that no migration has touched."""
    with engine.connect() as connection:
        return connection.scalar(MIGRATED) is not None


def ping_after_rest(engine: Engine) -> None:
    """Ask a connection that rested whether it is still alive, before it is handed out.

    SQLAlchemy's own `pool_pre_ping` asks every time, which costs a busy process a round trip a statement. One that died
    in its last second fails the statement that meets it, and with it the whole pool is renewed.
    """

    def note_rest(_connection: Any, record: ConnectionPoolEntry) -> None:
        record.info["rests_since"] = time.monotonic()

    def ping(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        rests_since = record.info.get("rests_since")
        if rests_since is None or time.monotonic() - rests_since < PING_AFTER_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError() from error

    event.listen(engine, "checkin", note_rest)
    event.listen(engine, "checkout", ping)


def release(session: Session) -> None:
    """End a read transaction before waiting on the network, so that no snapshot or lock is held meanwhile.

    Raises RuntimeError when the transaction has written or locked anything: that belongs to a commit, which an edge
    makes.
    """
    unwritten = session.new or session.dirty or session.deleted
    if unwritten or (session.in_transaction() and session.scalar(WRITTEN) is not None):
        raise RuntimeError("release() would lose changes that nobody committed")
    session.rollback()


def sqlstate(error: BaseException) -> str:
    """What Postgres calls a failure; empty when it could not say, or it is none of Postgres."""
    return getattr(getattr(error, "orig", None), "pgcode", None) or ""


def is_out_of_order(error: BaseException) -> bool:
    """True when the server itself could not work, whatever the statement was: nobody's attempt failed."""
    return sqlstate(error).startswith(OUT_OF_ORDER)
