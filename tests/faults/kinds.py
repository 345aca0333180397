"""Test kinds whose every run leaves rows: a body when it begins, an effect with its completion, an event beside it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import requests
from sqlalchemy import text

from app.core.events import emit
from app.core.http.schema import Int, StrictSchema, Text
from app.jobs.services.run import JobRun
from app.jobs.types import JobKind, Menu, Queue
from app.menu import MENU
from tests.faults.money.kinds import MONEY_KINDS

ALWAYS = 1000
"""As `die`: a poison job."""

OUTSIDE = "FAULTS_OUTSIDE"
"""The environment's name for where the outside world listens."""


class WorkParams(StrictSchema):
    """What the body does; `subject` is the client's own name for the work, the same however often it is sent."""

    subject = Text(load_default="")
    milliseconds = Int(load_default=0)
    steps = Int(load_default=1)
    line = Text(load_default="line", metadata={"description": "what serial jobs queue up in"})
    die = Int(load_default=0, metadata={"description": "kill the worker's child on the first so many runs"})


def _kind(name: str, summary: str, **options: Any) -> JobKind:
    return JobKind(
        name=f"faults.{name}",
        summary=summary,
        params=WorkParams,
        queue=options.pop("queue", Queue.DEFAULT),
        scope="jobs:write",
        backoff_seconds=0.5,
        max_attempts=20,
        **options,
    )


WORK = _kind("work", "Takes its time, then writes.")
STEPS = _kind("steps", "Writes once a step, each step committed.")
NOTIFY = _kind("notify", "Tells the outside world something that it takes twice without harm.")
PAY = _kind("pay", "Does something outside that must never be done twice.")
BULK = _kind("bulk", "Works, many a message.", queue=Queue.BULK, bulk=True)
SERIAL = _kind("serial", "One after the other.", serial_key=lambda params: params["line"])
TICK = _kind("tick", "What the schedules fire.")
LONE = _kind("lone", "What a schedule fires and finds running still.", overlap_key=lambda params: "lone")
FAST = _kind("fast", "Claimed without waiting for the disk.", fast_claim=True)
KINDS = (WORK, STEPS, NOTIFY, PAY, BULK, SERIAL, TICK, LONE, FAST)
FAULTS_MENU = Menu.of(tuple(MENU.kinds.values()), KINDS, MONEY_KINDS)

TABLES = (
    "CREATE TABLE bodies (job_id uuid, at timestamptz DEFAULT clock_timestamp())",
    "CREATE TABLE writes (job_id uuid, step int, number bigserial)",
)
BODY = text("INSERT INTO bodies (job_id) VALUES (:id)")
WRITE = text("INSERT INTO writes (job_id, step) VALUES (:id, :step)")


def begin(run: JobRun) -> None:
    """Count the body, committed at once whatever becomes of it."""
    with run.session.get_bind().connect() as connection, connection.begin():  # type: ignore[union-attr]
        connection.execute(BODY, {"id": run.claim.id})
    if run.claim.fence <= run.params["die"]:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(run.params["milliseconds"] / 1000)


def write(run: JobRun, step: int) -> None:
    """The effect in the database; it commits with the step or the completion."""
    run.session.execute(WRITE, {"id": run.claim.id, "step": step})


def finish(run: JobRun, step: int = 1) -> dict[str, Any]:
    """The last effect and the event of the end."""
    write(run, step)
    emit(run.session, "faults", str(run.claim.id), {"fence": run.claim.fence})
    return {"fence": run.claim.fence}


def work(run: JobRun) -> dict[str, Any]:
    """A body and its effect."""
    begin(run)
    return finish(run)


def steps(run: JobRun) -> dict[str, Any]:
    """Each step writes its number; a later attempt goes on where the last one left off."""
    begin(run)
    for number in range(int((run.cursor or {}).get("step", 0)) + 1, run.params["steps"]):
        write(run, number)
        run.step({"step": number})
    return finish(run, run.params["steps"])


def notify(run: JobRun) -> dict[str, Any]:
    """An outside effect whose receiver drops a key it knows."""
    begin(run)
    subject = run.params["subject"]
    run.effect(f"notify:{subject}", lambda: tell("notify", subject), repeatable=True)
    return finish(run)


def pay(run: JobRun) -> dict[str, Any]:
    """An outside effect that happens each time it is asked for."""
    begin(run)
    subject = run.params["subject"]
    run.effect(f"pay:{subject}", lambda: tell("pay", subject), repeatable=False)
    return finish(run)


def fast(run: JobRun) -> dict[str, Any]:
    """Nothing is committed before the end: that would make the claim durable. So the outside counts the bodies."""
    tell("body", run.params["subject"])
    time.sleep(run.params["milliseconds"] / 1000)
    return finish(run) | {"token": str(run.claim.token)}


def tell(what: str, subject: str) -> dict[str, Any]:
    """POST to the outside world."""
    answer = requests.post(f"{os.environ[OUTSIDE]}/{what}", json={"subject": subject}, timeout=5)
    answer.raise_for_status()
    return {"status": answer.status_code}


def bulk(runs: Sequence[JobRun]) -> list[dict[str, Any]]:
    """The same work, many a message."""
    return [work(run) for run in runs]
