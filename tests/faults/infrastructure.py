"""The matrix's rows about what everything stands on: memory, connections, disk, clocks and the network."""

from __future__ import annotations

from tests.faults.clock import CLOCK
from tests.faults.scene import USUAL, Fault
from tests.faults.storm import Load
from tests.faults.strikes import broker_memory, clocks, connections, disk, lost_commits, network

FOUR_CHILDREN = USUAL | {"worker": {"CONCURRENCY": "4"}}
FAST = Load(singles=0, keyless=0, batches=0, steps=0, notify=0, pay=0, lines=0, fast=2, seconds=0.1, milliseconds=3000)
KNOCKING = Load(seconds=8)
AHEAD, BEHIND = {CLOCK: str(clocks.HOUR)}, {CLOCK: str(-clocks.HOUR)}
FEW = Load(singles=10, batches=0, lines=0)

CLOCKS = (
    Fault(
        "clock-workers",
        "a worker an hour ahead, one an hour behind",
        clocks.wrong,
        False,
        10,
        USUAL | {"worker": AHEAD, "worker-2": BEHIND},
    ),
    Fault(
        "clock-dispatchers",
        "the same of dispatchers",
        clocks.wrong,
        False,
        10,
        USUAL | {"dispatcher": AHEAD, "dispatcher-2": BEHIND},
    ),
    Fault(
        "clock-beats",
        "the same of beats",
        clocks.wrong_beats,
        False,
        10,
        USUAL | {"beat": AHEAD, "beat-2": BEHIND},
        FEW,
    ),
    Fault("clock-api-ahead", "an API an hour ahead", clocks.wrong, False, 10, USUAL | {"api": AHEAD}),
    Fault("clock-api-behind", "an API an hour behind", clocks.slow_api, False, 10, USUAL | {"api": BEHIND}),
)
NETWORK = tuple(
    Fault(
        f"network-{server}",
        f"a worker's wire to {words} carries nothing for two leases",
        network.cut(server),
        True,
        20,
        load=Load(pay=0, milliseconds=100),
    )
    for server, words in (("postgres", "Postgres"), ("broker", "Redis"))
)
INFRASTRUCTURE = (
    Fault("redis-out-of-memory", "the broker refuses what needs memory", broker_memory.out_of_memory, False, 15),
    Fault(
        "postgres-no-connections", "a stranger holds every connection", connections.all_taken, True, 15, load=KNOCKING
    ),
    Fault("disk-tables-full", "tables cannot grow", disk.tables_full, True, 20, load=KNOCKING),
    Fault("disk-log-full", "the log cannot be written, Postgres panics", disk.log_full, True, 15),
    Fault(
        "postgres-commits-lost",
        "a crash that takes asynchronous commits with it",
        lost_commits.crash,
        True,
        15,
        FOUR_CHILDREN,
        FAST,
    ),
    *CLOCKS,
    *NETWORK,
)
