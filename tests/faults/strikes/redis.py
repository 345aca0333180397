"""The broker forgets."""

from __future__ import annotations

from redis import Redis

from tests.faults.scene import Scene


def flush(scene: Scene) -> None:
    """FLUSHALL of the broker."""
    scene.let_loose()
    scene.await_a_moment()
    with Redis.from_url(scene.ground.broker.url) as client:
        client.flushall()
    scene.mark()
