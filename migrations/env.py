"""Alembic's entry: `manage.py migrate` hands in the connection URL; native partitions are left out of autogenerate."""

from __future__ import annotations

from typing import Any

from alembic import context
from sqlalchemy import create_engine, pool, text

from app.models import metadata


def run() -> None:
    """One transaction for the whole upgrade; an advisory lock lets two replicas start at once."""
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        partitions = set(connection.scalars(text("SELECT relname FROM pg_class WHERE relispartition")))
        connection.rollback()

        def include_object(_object: Any, name: str | None, _type: str, reflected: bool, _compare_to: Any) -> bool:
            # Partitions and their indexes are made and dropped by the pruning job; autogenerate would drop them all.
            return not (reflected and name in partitions)

        context.configure(
            connection=connection, target_metadata=metadata, include_object=include_object, compare_server_default=True
        )
        with context.begin_transaction():
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4242001)")
            context.run_migrations()
    engine.dispose()


run()
