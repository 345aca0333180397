"""Postgres crashes with its last asynchronous commits: claims that workers are at work on have never been."""

from __future__ import annotations

import signal
from typing import Any

import psutil

from tests.faults.scene import Scene

CLAIMED = "SELECT id, claim_token FROM jobs WHERE kind = 'faults.fast' AND status = 'running'"
WRITERS = "SELECT id, result ->> 'token' AS token FROM jobs WHERE kind = 'faults.fast'"
TOKENS = "SELECT id, claim_token FROM jobs WHERE kind = 'faults.fast'"


def crash(scene: Scene) -> None:
    """The jobs are accepted and the log's writer stands still; they are claimed, and everything of Postgres is killed.

    What was committed with a claim's `synchronous_commit = off` is then in the server's memory only. The bodies go on,
    the jobs are queued again and claimed anew with the same fence: only the random token tells the two apart.
    """
    ground, jobs = scene.ground, scene.fault.load.fast
    fenced = ground.log("worker").count("lease_lost")
    ground.pause("worker")
    scene.let_loose()
    scene.storm.wait()
    scene.wait_until(lambda: not ground.count("jobs WHERE dispatched_at IS NULL"), "the messages are out")
    stop_log_writer(scene)
    ground.resume("worker")
    seen: dict[Any, Any] = {}

    def claimed() -> bool:
        seen.update({row.id: row.claim_token for row in ground.sql(CLAIMED)})
        return len(seen) == jobs

    scene.wait_until(claimed, "all jobs are claimed")
    ground.postgres.process.kill()
    ground.postgres.start()
    scene.mark()
    lost = [row.id for row in ground.sql(TOKENS) if row.claim_token != seen[row.id]]
    if not lost:
        raise AssertionError("no asynchronous commit was lost: the strike did not strike")
    scene.work_out()
    ghosts = [row.id for row in ground.sql(WRITERS) if row.token == str(seen[row.id]) and row.id in lost]
    if ghosts:
        raise AssertionError(f"{len(ghosts)} claims that never were have written")
    scene.wait_until(
        lambda: ground.log("worker").count("lease_lost") >= fenced + len(lost), "the bodies of lost claims are fenced"
    )
    scene.note = f"{len(lost)} of {jobs} claims lost"


def stop_log_writer(scene: Scene) -> None:
    """Nothing but a synchronous commit writes the log from now on."""
    children = psutil.Process(scene.ground.postgres.process.pid).children()
    (writer,) = [child for child in children if "walwriter" in " ".join(child.cmdline())]
    writer.send_signal(signal.SIGSTOP)
