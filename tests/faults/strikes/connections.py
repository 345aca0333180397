"""Somebody else takes every connection that Postgres has, ours too, and keeps them for a while."""

from __future__ import annotations

from contextlib import closing

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_AUTOCOMMIT, connection

from tests.faults.scene import Scene

HELD_SECONDS = 3.0
BEFOREHAND = 150
STRANGER = "a stranger"
TAKE_AWAY = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'watchkeeper'"


def all_taken(scene: Scene) -> None:
    """Every connection is a stranger's, reserved ones included; clients knock meanwhile, and then it lets go."""
    hoard: list[connection] = []
    try:
        fill(scene, hoard, at_most=BEFOREHAND)
        scene.let_loose()
        scene.await_a_moment()
        fill(scene, hoard)
        while take_away(hoard[0]):
            fill(scene, hoard)
        scene.pause_seconds(HELD_SECONDS)
    finally:
        for one in hoard:
            one.close()
    scene.mark()
    scene.note = f"{len(hoard)} connections, {scene.storm.statuses[503]} answers of 503"
    if not scene.storm.statuses[503]:
        raise AssertionError("nobody was turned away: the strike did not strike")


def fill(scene: Scene, hoard: list[connection], at_most: int = 1000) -> None:
    """Connect until Postgres refuses."""
    postgres = scene.ground.postgres
    while len(hoard) < at_most:
        try:
            one = psycopg2.connect(
                host="127.0.0.1",
                port=postgres.port,
                user="wk",
                password=postgres.password,
                dbname="postgres",
                application_name=STRANGER,
            )
        except psycopg2.OperationalError:
            return
        one.set_isolation_level(ISOLATION_LEVEL_AUTOCOMMIT)
        hoard.append(one)


def take_away(one: connection) -> int:
    """End our connections; returns how many there were."""
    with closing(one.cursor()) as cursor:
        cursor.execute(TAKE_AWAY)
        return len(cursor.fetchall())
