"""The receiver of callbacks is down."""

from __future__ import annotations

import requests

from tests.faults.scene import Scene


def receiver_down(scene: Scene) -> None:
    """Nobody listens while the jobs end and their callbacks are tried; then somebody does."""
    key = requests.get(f"{scene.ground.url}/v1/callback-key", headers=scene.storm.headers, timeout=10).json()
    scene.outside.key = bytes.fromhex(key["key"])
    scene.outside.close()
    scene.let_loose()
    scene.wait_until(
        lambda: scene.ground.count("jobs WHERE kind = 'jobs.deliver_callback' AND error IS NOT NULL") > 0,
        "a delivery fails",
    )
    scene.outside.open()
    scene.mark()
