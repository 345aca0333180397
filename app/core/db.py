"""Postgres: the declarative base, engines and sessions. Sessions are handed down; only the edges commit."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import Engine, MetaData, create_engine, text
from sqlalchemy.orm import DeclarativeBase, Session
from uuid_utils.compat import uuid7

STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 10_000
IDLE_IN_TRANSACTION_MS = 60_000
WRITTEN = text("SELECT pg_current_xact_id_if_assigned()")  # a transaction gets an id with its first write or row lock


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
        "pool_pre_ping": True,
        "connect_args": {
            "connect_timeout": 5,
            "application_name": "watchkeeper",
            "options": (
                f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
                f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}"
            ),
        },
    }


def make_engine(url: str, *, pool_size: int = 2) -> Engine:
    """An engine for one process. Make it after a fork, never before."""
    return create_engine(url, **engine_options(pool_size))


def release(session: Session) -> None:
    """End a read transaction before waiting on the network, so that no snapshot or lock is held meanwhile.

    Raises RuntimeError when the transaction has written or locked anything: that belongs to a commit, which an edge
    makes.
    """
    unwritten = session.new or session.dirty or session.deleted
    if unwritten or (session.in_transaction() and session.scalar(WRITTEN) is not None):
        raise RuntimeError("release() would lose changes that nobody committed")
    session.rollback()
