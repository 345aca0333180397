"""Alembic's entry: `manage.py migrate` hands in the connection URL; native partitions are left out of autogenerate."""

from __future__ import annotations

import re
from typing import Any

from alembic import context
from sqlalchemy import create_engine, pool

from app.models import metadata

PARTITION = re.compile(r".+_p\d{6}(\d{2})?\Z")


def include_object(_object: Any, name: str | None, type_: str, reflected: bool, _compare_to: Any) -> bool:
    """Partitions (`jobs_archive_p20260102`) are made and dropped by the pruning job, not by migrations."""
    return not (type_ in ("table", "index") and reflected and name is not None and partition_of(name, _object))


def partition_of(name: str, reflected: Any) -> bool:
    """True for a partition, and for an index on one."""
    table = getattr(getattr(reflected, "table", None), "name", None) or name
    return PARTITION.match(table) is not None


def run() -> None:
    """One transaction for the whole upgrade; an advisory lock lets two replicas start at once."""
    engine = create_engine(context.config.attributes["url"], poolclass=pool.NullPool)
    with engine.connect() as connection:
        context.configure(
            connection=connection, target_metadata=metadata, include_object=include_object, compare_server_default=True
        )
        with context.begin_transaction():
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4242001)")
            context.run_migrations()
    engine.dispose()


run()
