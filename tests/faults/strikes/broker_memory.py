"""Redis has no room left: whatever would need memory is refused, by a server that otherwise answers."""

from __future__ import annotations

from redis import Redis

from tests.faults.scene import Scene


def out_of_memory(scene: Scene) -> None:
    """No room until every client has its answer and the dispatcher has said that it cannot publish; then room again."""
    failed = scene.ground.log("dispatcher").count("dispatcher_round_failed")
    scene.let_loose()
    scene.await_a_moment()
    with Redis.from_url(scene.ground.broker.url) as client:
        client.config_set("maxmemory", 1)
        scene.storm.wait()  # the API does not publish, so it needs no broker to accept
        scene.wait_until(
            lambda: scene.ground.log("dispatcher").count("dispatcher_round_failed") > failed + 1,
            "the dispatcher says that it cannot publish",
        )
        refused = client.info("errorstats")["errorstat_OOM"]["count"]
        client.config_set("maxmemory", scene.ground.broker.max_memory)
        client.config_resetstat()
    scene.mark()
    scene.note = f"{refused} writes refused"
