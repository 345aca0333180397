"""Tasks of the queue's own kinds."""

from __future__ import annotations

import time
from typing import Any

from app.jobs.jobs import PROBE
from app.jobs.services.run import JobRun
from tasks.base import job_task


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
