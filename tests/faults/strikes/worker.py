"""Workers die."""

from __future__ import annotations

from tests.faults.scene import Scene


def kill_whole(scene: Scene) -> None:
    """SIGKILL to a worker and its children, as a machine's death would."""
    scene.let_loose()
    scene.await_a_moment()
    scene.ground.strike("worker")
    scene.mark()
