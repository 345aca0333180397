"""The servers forget, stop and crash."""

from __future__ import annotations

import shutil

from redis import Redis

from tests.faults.scene import Scene


def flush(scene: Scene) -> None:
    """FLUSHALL of the broker."""
    scene.let_loose()
    scene.await_a_moment()
    empty_broker(scene)
    scene.mark()


def empty_broker(scene: Scene) -> None:
    """FLUSHALL, through a connection of its own."""
    with Redis.from_url(scene.ground.broker.url) as client:
        client.flushall()


def lose_broker(scene: Scene) -> None:
    """Redis is killed, and comes back without its file."""
    scene.let_loose()
    scene.await_a_moment()
    restart_broker_empty(scene)
    scene.mark()


def restart_broker_empty(scene: Scene) -> None:
    """SIGKILL, the append-only files away, start."""
    broker = scene.ground.broker
    broker.process.kill()
    shutil.rmtree(broker.directory / "appendonlydir", ignore_errors=True)
    broker.start()


def restart_postgres(scene: Scene) -> None:
    """A fast restart: every connection is cut."""
    scene.let_loose()
    scene.await_a_moment()
    scene.ground.postgres.stop()
    scene.ground.postgres.start()
    scene.mark()


def crash_postgres(scene: Scene) -> None:
    """SIGKILL to all of Postgres in the middle of its work; it recovers from its log."""
    scene.let_loose()
    scene.await_a_moment()
    scene.ground.postgres.process.kill()
    scene.ground.postgres.start()
    scene.mark()
