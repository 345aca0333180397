"""DDL of partitions. Names come from our own table of tables, bounds from dates; DDL takes no parameters."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.ops.maths.periods import Period
from app.ops.types import PartitionedTable

PARTITIONS = text(
    """
    SELECT child.relname FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
    WHERE inhparent = CAST(:table AS regclass) ORDER BY child.relname
    """
)


def list_partitions(session: Session, table: str) -> Sequence[str]:
    """The names of a table's partitions, the default one among them."""
    return session.scalars(PARTITIONS, {"table": table}).all()


def lock_writers_out(session: Session, table: str) -> None:
    """Writers of the table wait until the transaction ends, readers do not; a second caller waits here."""
    session.execute(text(f"LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"))


def make_partition(session: Session, table: PartitionedTable, period: Period) -> None:
    """Make a period's partition and move into it what the default partition took in its place. O(rows moved)."""
    name = period.partition(table.name)
    start, end = period.start.isoformat(), period.end.isoformat()
    bounds = f"{table.column} >= '{start}' AND {table.column} < '{end}'"
    for statement in (
        f"CREATE TABLE {name} (LIKE {table.name} INCLUDING ALL)",
        f"WITH moved AS (DELETE FROM {table.name}_default WHERE {bounds} RETURNING *)"  # noqa: S608
        f" INSERT INTO {name} SELECT * FROM moved",
        f"ALTER TABLE {table.name} ATTACH PARTITION {name} FOR VALUES FROM ('{start}') TO ('{end}')",
    ):
        session.execute(text(statement))


def drop_partition(session: Session, name: str) -> None:
    """Drop a period with everything in it."""
    session.execute(text(f"DROP TABLE {name}"))
