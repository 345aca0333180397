"""The fault matrix: one table. A row says what strikes, whether bodies may run again, and how soon all must be over.

The bounds are for the test's lease of 2 s and a slow machine: lease, maintenance, and what this strike itself costs;
docs/faults.md has them for the default settings.
"""

from __future__ import annotations

from tests.faults.infrastructure import INFRASTRUCTURE
from tests.faults.scene import USUAL, Fault
from tests.faults.storm import Load
from tests.faults.strikes import beats, callbacks, servers, storms, workers
from tests.faults.strikes.deaths import at_every_statement, dies

LEASE = 12.0
"""Seconds: what a lost lease may cost, the births of processes and the rest of the load on a busy machine included."""

RESEND = 10.0
"""Seconds: the same where no lease was lost, only messages."""

FEW = Load(singles=10, batches=0, lines=0)
SLOW = Load(milliseconds=60)
PAUSED = Load(pay=0, milliseconds=100)  # nobody can settle a payment that a frozen process may still make
TWO_WORKERS = USUAL | {"worker-2": {}}
BEATS = USUAL | {"beat": {}, "beat-2": {}}
EVERYTHING = USUAL | {"dispatcher-2": {}, "worker-2": {}, "beat": {}, "beat-2": {}}
BIG = Load(singles=120, batches=2, steps=15, notify=15, pay=15, lines=3, seconds=8)
NO_LIMIT = {"JOBS__MAX_CRASHES": "1000"}  # a sweep kills more often than a poison job would


def point(place: str) -> str:
    """`worker.claim.before` as a row's name."""
    return place.replace(".", "-")


# Not the first passings: those are the clients' sign-ins, each read once by a new process.
API = tuple(
    Fault(point(place), f"the API dies {words}", dies("api", place, hits=(8, 14)), False, RESEND)
    for place, words in (
        ("api.commit.before", "with a request written and not committed"),
        ("api.commit.after", "with a request committed and not answered"),
    )
)
DISPATCHER = tuple(
    Fault(point(place), f"the dispatcher dies {words}", dies("dispatcher", place, times=3), False, RESEND)
    for place, words in (
        ("dispatch.publish.before", "with jobs marked and no message sent"),
        ("dispatch.publish.after", "with the messages sent"),
        ("outbox.publish.before", "with events numbered and not published"),
        ("outbox.publish.after", "with events published and not marked"),
    )
)
PLACES = (
    ("worker.claim.before", "before the claim", False),
    ("worker.claim.after", "after the claim, before the body", False),
    ("worker.step.before", "with a step written and not committed", True),
    ("worker.step.after", "with a step committed", True),
    ("worker.finish.before", "after the body, before the outcome is written", True),
    ("worker.finish.written", "with the outcome written and not committed", True),
    ("worker.finish.after", "with the outcome committed", False),
)
CHILD = tuple(
    Fault(f"child-{point(place)}", f"SIGKILL to a pool child {words}", dies("worker", place), repeats, LEASE)
    for place, words, repeats in PLACES
)
WHOLE = tuple(
    Fault(
        f"whole-{point(place)}",
        f"SIGKILL to the worker and its child {words}",
        dies("worker", place, action="kill_worker", times=1),
        True,
        LEASE,
    )
    for place, words, _ in PLACES
)
WORKERS = (
    Fault("child-killed", "SIGKILL to a pool child at a random moment", workers.kill_child, True, LEASE, load=SLOW),
    Fault("worker-killed", "SIGKILL to a worker and all its children", workers.kill_whole, True, LEASE, load=SLOW),
    Fault("worker-frozen", "SIGSTOP past the lease, then SIGCONT", workers.freeze, True, LEASE, TWO_WORKERS, PAUSED),
    Fault(
        "lease-outlasted", "a body longer than two leases", workers.outlast_the_lease, False, LEASE, load=Load(long=2)
    ),
    Fault("heartbeat-cut", "the heartbeat of a long job hangs", workers.cut_heartbeat, True, 25, load=Load(long=2)),
    Fault(
        "poison",
        "a job that kills its worker each time",
        workers.poison,
        False,
        20,
        USUAL | {"dispatcher": {"JOBS__MAX_CRASHES": "3"}},
        Load(poison=1),
    ),
)
SERVERS = (
    Fault("redis-flushed", "FLUSHALL of the broker", servers.flush, False, RESEND, keeps_redis=False),
    Fault("redis-lost", "the broker killed and restarted empty", servers.lose_broker, False, 15, keeps_redis=False),
    Fault("postgres-restarted", "a fast restart of Postgres", servers.restart_postgres, True, 15),
    Fault("postgres-crashed", "SIGKILL to Postgres, and a recovery", servers.crash_postgres, True, 15),
)
BEAT = (
    Fault("beats-two", "two beats, of which one dies in its tick", beats.several, False, RESEND, BEATS, FEW),
    Fault("beats-three", "three beats, the same", beats.several, False, RESEND, BEATS | {"beat-3": {}}, FEW),
    Fault("beat-dead", "no beat for ten slots", beats.dead_for(10), False, RESEND, USUAL | {"beat": {}}, FEW),
)
OTHERS = (
    Fault(
        "dispatchers-three",
        "three dispatchers, killed at random",
        storms.three_dispatchers,
        False,
        RESEND,
        USUAL | {"dispatcher-2": {}, "dispatcher-3": {}},
    ),
    Fault(
        "callbacks-refused",
        "the receiver of callbacks is down, then up",
        callbacks.receiver_down,
        False,
        20,
        load=Load(singles=15, batches=0, notify=0, pay=0, calls_back=True),
    ),
)
SWEEP = Load(singles=70, batches=1, steps=20, notify=10, pay=10, seconds=4, milliseconds=0)
SWEEPS = (
    Fault(
        "statements-worker",
        "a pool child dies before and after its n-th statement",
        at_every_statement("worker", 24),
        True,
        30,
        USUAL | {"worker": {"CONCURRENCY": "4"}, "dispatcher": NO_LIMIT},
        SWEEP,
    ),
    Fault(
        "statements-dispatcher",
        "the same of the dispatcher",
        at_every_statement("dispatcher", 24),
        False,
        30,
        load=SWEEP,
    ),
    Fault("statements-beat", "the same of beat", beats.at_every_statement(12), False, 30, USUAL | {"beat": {}}, FEW),
    Fault("statements-api", "the same of the API", at_every_statement("api", 10), False, 30, load=SWEEP),
)
STORMS = (Fault("everything", "all of it at random, under load", storms.everything, True, 30, EVERYTHING, BIG, False),)
MATRIX = (*API, *DISPATCHER, *CHILD, *WHOLE, *WORKERS, *SERVERS, *INFRASTRUCTURE, *BEAT, *OTHERS, *SWEEPS, *STORMS)
