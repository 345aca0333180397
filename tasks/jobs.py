"""Tasks of the queue's own kinds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from app.core.clock import utc_now
from app.core.outbound.guarded import guarded_post
from app.jobs.jobs import DELIVER_CALLBACK, PROBE
from app.jobs.services.callbacks import deliver
from app.jobs.services.run import JobRun
from tasks.base import job_task
from tasks.runtime import runtime


@job_task(DELIVER_CALLBACK)
def deliver_callback(run: JobRun) -> dict[str, Any]:
    """Tell a client that its job has ended."""
    jobs = runtime().settings.jobs

    def post(url: str, body: bytes, headers: Mapping[str, str]) -> int:
        return guarded_post(url, body, headers, allow_private=jobs.callback_allow_private).status

    secret = jobs.callback_secret.get_secret_value().encode()
    return deliver(run.session, run.params["job_id"], post=post, secret=secret, now=utc_now())


@job_task(PROBE)
def probe(run: JobRun) -> dict[str, Any]:
    """Take the asked steps, each committed, and say what came of it."""
    done = int((run.cursor or {}).get("steps", 0))
    for number in range(done + 1, run.params["steps"] + 1):
        run.check()
        time.sleep(run.params["step_milliseconds"] / 1000)
        if number < run.params["steps"]:
            run.report(number / run.params["steps"], "stepping", f"step {number}")
            run.step({"steps": number})
    return {"steps": run.params["steps"], "note": run.params["note"], "resumed_from": done}
