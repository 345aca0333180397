"""One row of the matrix, from an empty ground to the verdict."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from random import Random
from typing import Any

import requests
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from app.accounts.adapters.argon2 import Passwords
from app.accounts.services.users import create_user
from app.core.clock import utc_now
from app.core.db import make_engine
from app.core.http.principal import Origin
from tests.faults.audit import Verdict, Watch, audit
from tests.faults.deaths import Death
from tests.faults.ground import Cast, Ground
from tests.faults.outside import Outside
from tests.faults.storm import Load, Storm, plan

Strike = Callable[["Scene"], None]
USUAL: Cast = {"api": {}, "dispatcher": {}, "worker": {}}
CLIENT_PATIENCE_SECONDS = 60.0
PASSWORD = "correct horse battery staple"
OPEN = (
    "SELECT id, kind, status, params ->> 'subject' AS subject FROM jobs"
    " WHERE finished_at IS NULL AND kind NOT LIKE 'ops.%'"
)


@dataclass(frozen=True)
class Fault:
    """A row of the matrix: what strikes, on which cast and under which load, and what must hold."""

    name: str
    what: str
    strike: Strike
    repeats: bool
    bound_seconds: float
    cast: Cast = field(default_factory=lambda: USUAL)
    load: Load = field(default_factory=Load)
    keeps_redis: bool = True


@dataclass
class Row:
    """What became of a row."""

    fault: Fault
    verdict: Verdict
    recovery_seconds: float
    bound_seconds: float
    note: str = ""
    failure: str | None = None

    @property
    def complaints(self) -> list[str]:
        """Why the row fails; empty when it holds."""
        verdict, found = self.verdict, [self.failure] if self.failure else []
        found += [f"lost {what}" for what in verdict.lost] + [f"doubled {what}" for what in verdict.doubled]
        found += [f"broken {what}" for what in verdict.broken]
        if verdict.repeated and not self.fault.repeats:
            found.append(f"{verdict.repeated} bodies repeated")
        if self.recovery_seconds > self.bound_seconds:
            found.append(f"recovered after {self.recovery_seconds:.1f} s")
        return found


class Scene:
    """What a strike is given: the ground, the clients, the outside world, and a source of chance of its own."""

    def __init__(
        self,
        ground: Ground,
        outside: Outside,
        client: Mapping[str, str],
        fault: Fault,
        *,
        seed: int,
        patience_seconds: float | None,
    ):
        self.ground = ground
        self.outside = outside
        self.fault = fault
        self.bound_seconds = patience_seconds or fault.bound_seconds * slowness()
        self.rng = Random(f"{seed}:{fault.name}")  # noqa: S311 - the seed shall draw the same again
        requests = plan(fault.load, self.rng, fault.name, f"{outside.url}/callback")
        self.storm = Storm(ground.url, dict(client), requests, fault.load.seconds, CLIENT_PATIENCE_SECONDS * slowness())
        self.struck_at: datetime | None = None
        self.note = ""

    def order(self, name: str, deaths: Sequence[Death]) -> None:
        """`name` dies so, one incarnation after the other. A worker's children are armed as they stand."""
        self.ground.deaths.order(name, deaths)
        if not name.startswith("worker"):
            self.ground.strike(name)

    def let_loose(self) -> None:
        """The clients begin."""
        self.storm.let_loose()

    def await_a_moment(self) -> None:
        """A random moment while requests come in."""
        time.sleep(self.fault.load.seconds * self.rng.uniform(0.2, 0.8))

    def pause_seconds(self, seconds: float) -> None:
        """A time that belongs to the fault itself."""
        time.sleep(seconds)

    def work_out(self) -> None:
        """Until all that was accepted has ended, for strikes that go on as long as there is work."""
        settle(self)

    def mark(self) -> None:
        """The fault is over: from here on recovery is timed."""
        self.struck_at = utc_now()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Poll until true; raises TookTooLong after half a minute more than the row's bound."""
        self.ground.wait_for(condition, 30 + self.bound_seconds, what)


def play(
    ground: Ground,
    outside: Outside,
    client: Mapping[str, str],
    fault: Fault,
    *,
    seed: int,
    patience_seconds: float | None = None,
) -> Row:
    """Play one row: set the stage, let the clients loose, strike, wait for the end, judge.

    `patience_seconds` instead of the row's own bound is for tests that judge no time.
    """
    ground.disarm()
    ground.stage(fault.cast)
    ground.clear()
    outside.forget()
    scene = Scene(ground, outside, client, fault, seed=seed, patience_seconds=patience_seconds)
    watch = Watch(ground)
    try:
        failure = perform(scene)
        struck_at = scene.struck_at or utc_now()
        settle(scene)
        verdict = audit(ground, scene.storm, outside, keeps_redis=fault.keeps_redis)
    finally:
        scene.storm.stop()
        seen = watch.end()
    verdict.broken += sorted(seen)
    return Row(fault, verdict, recovery_seconds(scene, struck_at), scene.bound_seconds, scene.note, failure)


def perform(scene: Scene) -> str | None:
    """Strike, and let the clients finish; what did not come is the row's failure."""
    failure = None
    try:
        scene.fault.strike(scene)
    except AssertionError as error:  # also TookTooLong
        failure = str(error)
    scene.storm.wait()
    return failure


def slowness() -> float:
    """How far the machine is beyond twice its cores, at least 1: others' load stretches the bounds, ours does not."""
    return max(1.0, os.getloadavg()[0] / (2 * (os.cpu_count() or 1)))


def settle(scene: Scene) -> None:
    """Wait until no job is open, at most as long as the row's bound; an operator settles what is in doubt."""
    deadline = time.monotonic() + scene.bound_seconds
    while time.monotonic() < deadline:
        try:
            found = scene.ground.sql(OPEN)
            quiet = not found and not scene.ground.count("outbox WHERE published_at IS NULL")
        except SQLAlchemyError:
            continue
        if quiet:
            return
        for job in found:
            if job.status == "in_doubt":
                resolve(scene, job)
        time.sleep(0.05)


def resolve(scene: Scene, job: Any) -> None:
    """What an operator does: look whether the outside effect happened, and say so."""
    status = "succeeded" if scene.outside.arrived["pay", job.subject] else "queued"
    url = f"{scene.ground.url}/v1/jobs/{job.id}/resolve"
    with contextlib.suppress(requests.RequestException):  # asked again in a moment
        requests.post(url, json={"status": status}, headers=scene.storm.headers, timeout=15)


def recovery_seconds(scene: Scene, struck_at: datetime) -> float:
    """From the end of the fault until what was under way then is over.

    That is: each request sent before it is answered, each job accepted before it has ended; one still open counts until
    now.
    """
    row = scene.ground.sql(
        "SELECT max(coalesce(finished_at, clock_timestamp())) AS last FROM jobs WHERE created_at < :struck_at",
        struck_at=struck_at,
    )[0]
    ends = [answered_at for sent_at, answered_at in scene.storm.answers if sent_at < struck_at]
    ends += [row.last] if row.last else []
    return max([0.0, *((end - struck_at).total_seconds() for end in ends)])


def sign_in(ground: Ground) -> dict[str, str]:
    """A client's headers; `ground` has an API that answers."""
    engine = make_engine(ground.postgres.url())
    with Session(engine) as session:
        create_user(
            session,
            passwords=Passwords(time_cost=1, memory_kib=1024, parallelism=1, at_once=1),
            login="alice",
            password=PASSWORD,
            scopes=["jobs:read", "jobs:write", "ops:read", "ops:write"],
            origin=Origin("faults"),
            now=utc_now(),
        )
        session.commit()
    engine.dispose()
    login = requests.post(f"{ground.url}/v1/auth/login", json={"login": "alice", "password": PASSWORD}, timeout=20)
    return {"Authorization": f"Bearer {login.json()['access_token']}"}
