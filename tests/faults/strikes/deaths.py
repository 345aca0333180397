"""Processes that die at a named place, or at every statement boundary."""

from __future__ import annotations

from tests.faults.deaths import Death
from tests.faults.scene import Scene, Strike

SWEPT = ("sql.before", "sql.after")


def dies(name: str, point: str, *, action: str = "kill", times: int = 2, hits: tuple[int, int] = (1, 4)) -> Strike:
    """`name` dies at `point`, several times over, each time at a passing from `hits` that the seed draws."""

    def strike(scene: Scene) -> None:
        deaths = [Death(point, scene.rng.randint(*hits), action) for _ in range(times)]
        scene.order(name, deaths)
        scene.let_loose()
        scene.wait_until(lambda: scene.ground.deaths.struck() == times, f"{name} dies {times} times at {point}")
        scene.mark()

    return strike


def at_every_statement(name: str, last: int) -> Strike:
    """The first incarnation dies before its first statement, the second after it, and so on, while work comes in.

    It ends when the work is done: the last of them survived it. Recovery counts from the last death.
    """

    def strike(scene: Scene) -> None:
        scene.order(name, [Death(point, hit) for hit in range(1, last + 1) for point in SWEPT])
        scene.let_loose()
        scene.storm.wait()
        scene.work_out()
        scene.struck_at = scene.ground.deaths.last_at()
        scene.note = f"{scene.ground.deaths.struck()} boundaries"

    return strike
