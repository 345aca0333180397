"""Test kinds whose every run leaves a row, so that doubled effects and repeated bodies can be counted."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from sqlalchemy import text

from app.core.http.schema import Int, StrictSchema
from app.jobs.services.run import JobRun
from app.jobs.types import JobKind, Menu, Queue
from app.menu import MENU


class WorkParams(StrictSchema):
    """How long the body takes, and what it does to its worker."""

    milliseconds = Int(load_default=0)
    die = Int(load_default=0, metadata={"description": "kill the worker's child on the first so many attempts"})


WORK = JobKind(
    name="test.work", summary="Works.", params=WorkParams, queue=Queue.DEFAULT, scope="jobs:write", timeout_seconds=60
)
BULK = JobKind(name="test.bulk", summary="Works.", params=WorkParams, queue=Queue.BULK, scope="jobs:write", bulk=True)
SERIAL = JobKind(
    name="test.serial",
    summary="One after the other.",
    params=WorkParams,
    queue=Queue.DEFAULT,
    scope="jobs:write",
    serial_key=lambda params: "line",
)
TEST_MENU = Menu.of(tuple(MENU.kinds.values()), (WORK, BULK, SERIAL))

BODY = text("INSERT INTO bodies (job_id) VALUES (:id)")
EFFECT = text("INSERT INTO writes (job_id) VALUES (:id)")
TABLES = (
    "CREATE TABLE bodies (job_id uuid, at timestamptz DEFAULT clock_timestamp())",
    "CREATE TABLE writes (job_id uuid, number bigserial)",
)


def work(run: JobRun) -> dict[str, Any]:
    """Count the body (committed at once), take the time, then write with the completion."""
    with run.session.get_bind().connect() as connection, connection.begin():  # type: ignore[union-attr]
        connection.execute(BODY, {"id": run.claim.id})
    if run.claim.fence <= run.params["die"]:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(run.params["milliseconds"] / 1000)
    run.session.execute(EFFECT, {"id": run.claim.id})
    return {"fence": run.claim.fence}
