"""At which revision is the database?"""

from __future__ import annotations

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

import migrations
from app.ops.errors import DatabaseNotMigrated


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
