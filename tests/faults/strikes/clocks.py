"""Machines whose wall clock is wrong by an hour. Jobs, slots and leases go by the database's clock alone."""

from __future__ import annotations

import requests

from tests.faults.scene import PASSWORD, Scene
from tests.faults.strikes.beats import fire, schedule, unschedule

HOUR = 3600
LATE = "SELECT id FROM jobs WHERE finished_at > clock_timestamp() OR run_at > clock_timestamp() + interval '1 minute'"
EARLY_SLOTS = "SELECT slot_at FROM schedule_slots WHERE slot_at > clock_timestamp()"


def wrong(scene: Scene) -> None:
    """Nothing strikes but the time of the cast's clocks."""
    scene.let_loose()
    scene.storm.wait()
    scene.mark()
    scene.work_out()
    nothing(scene, LATE)


def wrong_beats(scene: Scene) -> None:
    """A beat an hour ahead and one an hour behind: slots are those of the database's clock."""
    schedule(scene, 2)
    scene.let_loose()
    fire(scene, 6)
    unschedule(scene)
    scene.mark()
    nothing(scene, EARLY_SLOTS)


def slow_api(scene: Scene) -> None:
    """An API an hour behind takes a token of the right time for one of the future: the client signs in again."""
    login = f"{scene.ground.url}/v1/auth/login"
    answer = requests.post(login, json={"login": "alice", "password": PASSWORD}, timeout=20)
    scene.storm.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    wrong(scene)


def nothing(scene: Scene, statement: str) -> None:
    """Raises AssertionError when the statement finds a row."""
    found = scene.ground.sql(statement)
    if found:
        raise AssertionError(f"{len(found)} rows of a wrong time: {statement}")
