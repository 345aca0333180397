"""Is the database there?"""

from __future__ import annotations

import time

import psycopg2
from sqlalchemy.engine import make_url

from app.ops.errors import DatabaseUnreachable

POLL_SECONDS = 0.5


def wait_for_database(url: str, seconds: float) -> None:
    """Return when the database answers; raises DatabaseUnreachable, the password left out, when it has not in time."""
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    deadline = time.monotonic() + seconds
    while True:
        try:
            psycopg2.connect(dsn, connect_timeout=3).close()
            return
        except psycopg2.OperationalError as error:
            if time.monotonic() > deadline:
                reason = str(error).strip().splitlines()[0]
                raise DatabaseUnreachable(
                    f"The database {make_url(url).render_as_string(hide_password=True)} does not answer ({reason}):"
                    " start it, or mend DATABASE_URL."
                ) from None
        time.sleep(POLL_SECONDS)
