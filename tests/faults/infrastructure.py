"""The matrix's rows about what everything stands on: memory, connections, disk, clocks and the network."""

from __future__ import annotations

from tests.faults.scene import USUAL, Fault
from tests.faults.storm import Load
from tests.faults.strikes import broker_memory, connections, disk, lost_commits

FOUR_CHILDREN = USUAL | {"worker": {"CONCURRENCY": "4"}}
FAST = Load(singles=0, batches=0, steps=0, notify=0, pay=0, lines=0, fast=2, seconds=0.1, milliseconds=3000)
KNOCKING = Load(seconds=8)

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
)
