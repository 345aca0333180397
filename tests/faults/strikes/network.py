"""The wire between a worker and a server carries nothing for a while, and neither end is told."""

from __future__ import annotations

from contextlib import closing

from tests.faults.ground import LEASE_SECONDS
from tests.faults.proxy import Wire
from tests.faults.scene import Scene, Strike

ADDRESS = {"postgres": "DATABASE_URL", "broker": "BROKER_URL"}


def cut(server: str) -> Strike:
    """One of two workers loses `server` for two leases, in the middle of its jobs."""

    def strike(scene: Scene) -> None:
        ground = scene.ground
        port = getattr(ground, server).port
        variable = ADDRESS[server]
        with closing(Wire(port)) as wire:
            url = ground.environment[variable].replace(f":{port}/", f":{wire.port}/")
            ground.stage(scene.fault.cast | {"worker-2": {variable: url}})
            scene.let_loose()
            scene.wait_until(lambda: ground.count("bodies") > 0, "a body begins")
            scene.await_a_moment()
            wire.cut()
            scene.pause_seconds(2 * LEASE_SECONDS)
            wire.mend()
            scene.mark()
            scene.work_out()
            ground.kill("worker-2")

    return strike
