"""Several beats, dying ones, and none for a while: each slot has its job, once."""

from __future__ import annotations

from tests.faults.deaths import Death
from tests.faults.scene import Scene, Strike
from tests.faults.strikes.deaths import SWEPT

SCHEDULE = """
    INSERT INTO schedules (name, summary, kind, params, interval_seconds, time_zone, catch_up, catch_up_limit,
                           catch_up_window_seconds, overlap, anchor_at, mark_at, next_at)
    VALUES (:name, 's', :kind, CAST(:params AS jsonb), 1, 'UTC', 'all', 1000, 86400, 'skip',
            date_trunc('second', now()), date_trunc('second', now()), now())
"""
FIRED = "schedule_slots WHERE job_id IS NOT NULL"


def schedule(scene: Scene, count: int = 1) -> None:
    """Schedules that fire each second, every slot of which must run."""
    for number in range(count):
        scene.ground.sql(SCHEDULE, name=f"s{number}", kind="faults.tick", params="{}")


def schedule_lone(scene: Scene) -> None:
    """A schedule whose job is still alive at the next slot, which then is skipped and recorded."""
    scene.ground.sql(SCHEDULE, name="lone", kind="faults.lone", params='{"milliseconds": 1300}')


def unschedule(scene: Scene) -> None:
    """No more slots from now on, so that the row has an end; a beat that lived let none of them pass."""
    scene.ground.sql("UPDATE schedules SET paused = true")


def fire(scene: Scene, slots: int) -> None:
    """Wait for so many more slots."""
    wanted = scene.ground.count(FIRED) + slots
    scene.wait_until(lambda: scene.ground.count(FIRED) >= wanted, f"{slots} slots fire")


def several(scene: Scene) -> None:
    """All beats of the cast at once; one of them dies twice in the middle of firing."""
    scene.order("beat-2", [Death(scene.rng.choice(("beat.commit.before", "beat.commit.after")), hit) for hit in (1, 1)])
    schedule(scene, 2)
    schedule_lone(scene)
    scene.let_loose()
    scene.wait_until(lambda: scene.ground.deaths.struck() == 2, "a beat dies twice in its tick")
    fire(scene, 4)
    unschedule(scene)
    scene.mark()


def at_every_statement(last: int) -> Strike:
    """Beat dies before and after its n-th statement, n = 1, 2, 3, ..., and is born again each time."""

    def strike(scene: Scene) -> None:
        schedule(scene, 6)
        deaths = [Death(point, hit) for hit in range(1, last + 1) for point in SWEPT]
        scene.order("beat", deaths)
        scene.let_loose()
        scene.wait_until(lambda: scene.ground.deaths.struck() == len(deaths), "beat dies each death")
        fire(scene, 6)
        unschedule(scene)
        scene.mark()
        scene.note = f"{len(deaths)} boundaries"

    return strike


def dead_for(slots: int) -> Strike:
    """No beat while so many slots pass; the next one makes up for each."""

    def strike(scene: Scene) -> None:
        schedule(scene)
        fire(scene, 1)
        scene.ground.kill("beat")
        scene.let_loose()
        scene.wait_until(
            lambda: scene.ground.count(f"{FIRED} HAVING now() - max(slot_at) > interval '{slots} s'") > 0,
            f"{slots} slots pass",
        )
        scene.ground.start("beat")
        scene.mark()
        fire(scene, slots + 1)
        unschedule(scene)

    return strike
