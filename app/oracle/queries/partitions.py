"""DDL of the history's monthly partitions."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.oracle.maths.months import Month

PARTITIONS = text(
    """
    SELECT child.relname FROM pg_inherits
    JOIN pg_class AS child ON child.oid = inhrelid
    WHERE inhparent = CAST('oracle_prices' AS regclass)
    ORDER BY child.relname
    """
)

# Writers of prices wait; readers do not. In the order in which a refresh takes the two tables, so that neither
# deadlocks. A second caller waits here, and then finds the month made.
LOCK = text("LOCK TABLE oracle_feeds, oracle_prices IN SHARE ROW EXCLUSIVE MODE")


def list_partitions(session: Session) -> Sequence[str]:
    """The names of the partitions, the default one among them."""
    return session.scalars(PARTITIONS).all()


def lock_tables(session: Session) -> None:
    """Keep other writers out until the transaction ends."""
    session.execute(LOCK)


def make_partition(session: Session, month: Month) -> None:
    """Make a month's partition and move into it what the default partition took in its place.

    The caller holds `lock_tables`. O(rows moved), which is none when the month is made in advance.
    """
    # Names and bounds are made from two integers; DDL takes no parameters.
    bounds = f"publish_time >= '{month.start.isoformat()}' AND publish_time < '{month.end.isoformat()}'"
    for statement in (
        f"CREATE TABLE {month.partition} (LIKE oracle_prices INCLUDING ALL)",
        f"WITH moved AS (DELETE FROM oracle_prices_default WHERE {bounds} RETURNING *)"  # noqa: S608
        f" INSERT INTO {month.partition} SELECT * FROM moved",
        f"ALTER TABLE oracle_prices ATTACH PARTITION {month.partition}"
        f" FOR VALUES FROM ('{month.start.isoformat()}') TO ('{month.end.isoformat()}')",
    ):
        session.execute(text(statement))


def drop_partition(session: Session, month: Month) -> None:
    """Drop a month with everything in it."""
    session.execute(text(f"DROP TABLE {month.partition}"))
