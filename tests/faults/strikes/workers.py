"""Workers die, freeze, or lose their heartbeat."""

from __future__ import annotations

import psutil

from tests.faults.deaths import Death
from tests.faults.ground import LEASE_SECONDS
from tests.faults.scene import Scene

RUNNING = "jobs WHERE status = 'running'"


def kill_whole(scene: Scene) -> None:
    """SIGKILL to a worker and its children, as a machine's death would, in the middle of their work."""
    scene.let_loose()
    scene.await_a_moment()
    scene.wait_until(lambda: scene.ground.count(RUNNING) > 0, "a job runs")
    scene.ground.strike("worker")
    scene.mark()


def kill_child(scene: Scene) -> None:
    """SIGKILL to one pool child in the middle of a body; Celery makes a new one."""
    scene.let_loose()
    scene.await_a_moment()
    scene.wait_until(lambda: scene.ground.count(RUNNING) > 0, "a job runs")
    worker = scene.ground.born("worker")
    assert isinstance(worker, psutil.Process)
    scene.rng.choice(worker.children()).kill()
    scene.mark()


def freeze(scene: Scene) -> None:
    """SIGSTOP for two leases, then SIGCONT: what it was doing is another's by now."""
    scene.let_loose()
    scene.await_a_moment()
    scene.wait_until(lambda: scene.ground.count(RUNNING) > 0, "a job runs")
    scene.ground.pause("worker")
    scene.pause_seconds(2 * LEASE_SECONDS)
    scene.ground.resume("worker")
    scene.mark()


def cut_heartbeat(scene: Scene) -> None:
    """The heartbeat of a long job hangs: another worker takes the job, and the first one's write is fenced off."""
    scene.order("worker", [Death("worker.heartbeat", 1, "hang")])
    scene.let_loose()
    scene.wait_until(lambda: scene.ground.deaths.struck() == 1, "the heartbeat hangs")
    scene.mark()
    scene.wait_until(lambda: "lease_lost" in scene.ground.log("worker"), "the fenced worker finds out")


def outlast_the_lease(scene: Scene) -> None:
    """Nothing strikes: the body is longer than two leases, and the heartbeat holds it."""
    scene.let_loose()
    scene.storm.wait()
    scene.mark()


def poison(scene: Scene) -> None:
    """A job that kills its child each time; the others run beside it."""
    scene.let_loose()
    scene.storm.wait()
    scene.mark()
