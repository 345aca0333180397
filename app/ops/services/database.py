"""Is the database there?"""

from __future__ import annotations

import time

from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from app.ops.errors import DatabaseUnreachable

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
