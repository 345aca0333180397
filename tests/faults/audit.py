"""The judge: after a fault, what the tables say. Each check is one statement that lists what should not be."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from tests.faults.ground import Ground
from tests.faults.outside import Outside
from tests.faults.storm import Storm

# Whatever a fault does, none of these ever returns a row (design, section 2).
ALWAYS: Mapping[str, str] = {
    "running has a lease": "SELECT id FROM jobs WHERE (status = 'running') <> (lease_until IS NOT NULL)"
    " OR (status = 'running') <> (claim_token IS NOT NULL)",
    "ended has a time": "SELECT id FROM jobs WHERE (status IN ('succeeded', 'failed', 'cancelled', 'expired'))"
    " <> (finished_at IS NOT NULL)",
    "attempts are bounded": "SELECT id FROM jobs WHERE attempt NOT BETWEEN 0 AND max_attempts",
    "one job a subject": "SELECT params ->> 'subject' FROM jobs WHERE params ->> 'subject' <> '' GROUP BY 1"
    " HAVING count(*) > 1",
    "a key has its answer": "SELECT key FROM job_keys WHERE answer IS NULL",
    "one live job an overlap key": "SELECT overlap_key FROM jobs WHERE overlap_key IS NOT NULL"
    " AND status IN ('queued', 'running', 'in_doubt') GROUP BY 1 HAVING count(*) > 1",
    "one running job a serial key": "SELECT serial_key FROM jobs WHERE serial_key IS NOT NULL"
    " AND status IN ('running', 'in_doubt') GROUP BY 1 HAVING count(*) > 1",
    "serial jobs in order": "SELECT id FROM (SELECT j.id, w.number, lag(w.number) OVER (PARTITION BY j.serial_key"
    " ORDER BY j.id) AS before FROM jobs j JOIN writes w ON w.job_id = j.id WHERE j.serial_key IS NOT NULL) AS line"
    " WHERE number < before",
    "serial jobs apart": "SELECT b.id FROM (SELECT id, serial_key, finished_at, (SELECT min(at) FROM bodies"
    " WHERE job_id = id) AS begun_at FROM jobs WHERE serial_key IS NOT NULL) AS b JOIN jobs a"
    " ON a.serial_key = b.serial_key AND a.id < b.id AND (a.finished_at IS NULL OR a.finished_at > b.begun_at)"
    " WHERE b.begun_at IS NOT NULL",
    "one job a slot": "SELECT schedule, slot_at FROM jobs WHERE schedule IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1",
    "slots without a gap": "SELECT slot_at FROM (SELECT s.slot_at, s.slot_at - lag(s.slot_at) OVER"
    " (PARTITION BY s.schedule ORDER BY s.slot_at) AS gap, c.interval_seconds FROM schedule_slots s"
    " JOIN schedules c ON c.name = s.schedule) AS line WHERE gap <> make_interval(secs => interval_seconds)",
    "a slot has its job": "SELECT s.slot_at FROM schedule_slots s LEFT JOIN jobs j ON j.id = s.job_id"
    " WHERE s.job_id IS NOT NULL AND j.id IS NULL",
    "no write by half": "SELECT job_id FROM writes w LEFT JOIN jobs j ON j.id = w.job_id WHERE j.id IS NULL",
    "event numbers without a gap": "SELECT number FROM (SELECT number, row_number() OVER (ORDER BY number) AS place"
    " FROM outbox WHERE number IS NOT NULL) AS line WHERE number <> place",
}
# And when all is over, neither do these.
AT_THE_END: Mapping[str, str] = {
    "no claim is left": "SELECT id FROM jobs WHERE claim_token IS NOT NULL OR lease_until IS NOT NULL",
    "every effect is settled": "SELECT effect_key FROM effects WHERE phase <> 'done'",
    "one event for each that succeeded": "SELECT j.id FROM jobs j LEFT JOIN outbox o ON o.subject = j.id::text"
    " WHERE j.kind LIKE 'faults.%' AND EXISTS (SELECT FROM writes w WHERE w.job_id = j.id)"
    " GROUP BY j.id HAVING count(o.id) <> 1",
    "every event is published": "SELECT id FROM outbox WHERE published_at IS NULL",
}
# (kind, steps asked) decides how many writes a job has; a payment that an operator settled has none.
WRITES = """
    SELECT j.id, j.kind, j.status, j.params ->> 'subject' AS subject,
           coalesce(CAST(j.params ->> 'steps' AS int), 1) AS steps,
           coalesce(CAST(j.params ->> 'die' AS int), 0) >= 100 AS poison, j.schedule,
           j.callback_url IS NOT NULL AS calls_back, j.error ->> 'code' AS error,
           (SELECT count(*) FROM writes w WHERE w.job_id = j.id) AS writes,
           (SELECT count(DISTINCT step) FROM writes w WHERE w.job_id = j.id) AS distinct_writes,
           (SELECT count(*) FROM bodies b WHERE b.job_id = j.id) AS bodies
    FROM jobs j WHERE j.kind LIKE 'faults.%'
"""


@dataclass
class Verdict:
    """What the judge found."""

    accepted: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    repeated: int = 0
    broken: list[str] = field(default_factory=list)


def audit(ground: Ground, storm: Storm, outside: Outside, *, keeps_redis: bool) -> Verdict:
    """Judge a row: everything that was accepted has its one effect, and a poison job has none and failed."""
    verdict = Verdict(accepted=len(storm.accepted))
    verdict.broken = [f"{name}: {len(rows)}" for name, rows in broken(ground, ALWAYS | AT_THE_END).items()]
    if keeps_redis and ground.events() != ground.count("outbox"):
        verdict.broken.append(f"{ground.events()} events in the stream, {ground.count('outbox')} in the outbox")
    verdict.broken += [f"refused: {text}" for text in storm.refused]
    verdict.broken += [f"crude answer: {text}" for text in storm.crude]
    verdict.broken += [f"unanswered: {request.key}" for request in storm.unanswered]
    verdict.broken += [f"{outside.badly_signed} callbacks badly signed"] if outside.badly_signed else []
    rows = {str(row.id): row for row in ground.sql(WRITES)}
    ticks = {f"{row.schedule}/{job_id}": job_id for job_id, row in rows.items() if row.schedule}
    verdict.accepted += len(ticks)
    for subject, job_id in (storm.accepted | ticks).items():
        fault = lost(rows.get(job_id), outside)
        if fault:
            verdict.lost.append(f"{subject}: {fault}")
    for row in rows.values():
        verdict.repeated += 0 if row.poison else max(0, row.bodies + outside.arrived["body", row.subject] - 1)
        if row.writes > row.distinct_writes or outside.arrived["pay", row.subject] > 1:
            verdict.doubled.append(f"{row.kind} {row.subject}")
    return verdict


def broken(ground: Ground, checks: Mapping[str, str]) -> dict[str, list[Any]]:
    """The checks that found something, and what."""
    found = {name: list(ground.sql(statement)) for name, statement in checks.items()}
    return {name: rows for name, rows in found.items() if rows}


class Watch:
    """Looks at what must always hold while the fault is on, again and again, through a connection of its own."""

    def __init__(self, ground: Ground):
        self._ground = ground
        self._over = threading.Event()
        self._seen: set[str] = set()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._over.wait(1.0):
            with contextlib.suppress(SQLAlchemyError):  # Postgres may be what was struck
                self._seen |= broken(self._ground, ALWAYS).keys()

    def end(self) -> set[str]:
        """The checks that found something at any time."""
        self._over.set()
        self._thread.join()
        return self._seen


def lost(row: Any, outside: Outside) -> str | None:
    """Why an accepted job counts as lost; None when it ended as it should, with its effect."""
    if row is None:
        return "there is no such job"
    if row.poison:
        return None if row.error == "jobs.poisoned" and not row.writes else f"the poison is {row.status}"
    if row.status != "succeeded":
        return f"it is {row.status}"
    if row.calls_back and not outside.callbacks[str(row.id)]:
        return "its callback never came"
    if row.kind == "faults.pay":
        return None if outside.arrived["pay", row.subject] == 1 else "nobody was paid"
    if row.kind == "faults.notify" and not outside.arrived["notify", row.subject]:
        return "nobody was told"
    return None if row.distinct_writes == row.steps else f"{row.distinct_writes} of {row.steps} writes"
