"""The fault matrix: one table. The bound is lease + maintenance + what this strike itself costs, at the test's lease of
2 s; docs/faults.md has the bounds for the default settings.
"""

from __future__ import annotations

from tests.faults.scene import Fault
from tests.faults.strikes import redis, worker

MATRIX = (
    Fault("worker-killed", "SIGKILL to a worker and its children", worker.kill_whole, True, 15),
    Fault("redis-flushed", "FLUSHALL of the broker", redis.flush, False, 12),
)
