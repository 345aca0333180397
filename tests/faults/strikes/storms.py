"""Many deaths at random while work comes in."""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.scene import Scene
from tests.faults.strikes import beats, servers


def three_dispatchers(scene: Scene) -> None:
    """Replicas die one after the other, at random."""
    names = [name for name in scene.fault.cast if name.startswith("dispatcher")]
    scene.let_loose()
    for _ in range(8):
        time.sleep(scene.rng.uniform(0.05, 0.4))
        scene.ground.strike(scene.rng.choice(names))
    scene.mark()


def everything(scene: Scene) -> None:
    """Each of the fault's strikes at least once, in random order, under load."""
    ground = scene.ground
    strikes: list[Callable[[], object]] = [
        *(lambda name=name: ground.strike(name) for name in scene.fault.cast),  # type: ignore[misc]
        *(lambda name=name: ground.strike(name) for name in scene.fault.cast),  # type: ignore[misc]
        lambda: servers.empty_broker(scene),
        lambda: servers.restart_broker_empty(scene),
        lambda: (ground.postgres.stop(), ground.postgres.start()),
        lambda: (ground.postgres.process.kill(), ground.postgres.start()),
    ]
    scene.rng.shuffle(strikes)
    beats.schedule(scene)
    scene.let_loose()
    for strike in strikes:
        time.sleep(scene.rng.uniform(0.1, 0.6))
        strike()
    scene.mark()
    beats.fire(scene, 1)
    beats.unschedule(scene)
