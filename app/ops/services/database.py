"""Is the database there, and at which revision?"""

from __future__ import annotations

import time

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

import migrations
from app.ops.errors import DatabaseNotMigrated, DatabaseUnreachable

POLL_SECONDS = 0.5


def wait_for_database(url: str, seconds: float) -> None:
    """Return when the database answers; raises DatabaseUnreachable, the password left out, when it has not in time."""
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 3})
    deadline = time.monotonic() + seconds
    while True:
        try:
            with engine.connect() as connection:
                connection.execute(text("SELECT 1"))
            return
        except OperationalError as error:
            if time.monotonic() > deadline:
                reason = str(error.orig).strip().splitlines()[0]
                raise DatabaseUnreachable(
                    f"The database {make_url(url).render_as_string(hide_password=True)} does not answer ({reason}):"
                    " start it, or mend DATABASE_URL."
                ) from None
        time.sleep(POLL_SECONDS)


def revisions(url: str) -> tuple[str | None, str | None]:
    """The revision the database is at, and the newest one there is."""
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 3})
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    return current, ScriptDirectory.from_config(migrations.alembic_config(url)).get_current_head()


def require_migrated(url: str) -> None:
    """Return when the database is at the newest revision; raises DatabaseNotMigrated."""
    current, newest = revisions(url)
    if current != newest:
        raise DatabaseNotMigrated(f"The database is at {current}, not at {newest}: run `manage.py migrate`.")
