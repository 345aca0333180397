"""`manage.py bench queue`: what the durable queue costs beside plain Celery and plain Flask, measured in one run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from bench import queue_drain, queue_enqueue, queue_growth, queue_latency, queue_memory, queue_submit
from bench.machine import describe
from bench.report import Report, Row
from bench.stand import Stand, standing


class Part(Protocol):
    """Measures one side of the queue on a stand."""

    def __call__(self, stand: Stand, *, runs: int, progress: Callable[[str], None]) -> list[Row]:
        """The rows of this part."""


PARTS: dict[str, Part] = {
    "submit": queue_submit.measure,
    "enqueue": queue_enqueue.measure,
    "drain": queue_drain.measure,
    "latency": queue_latency.measure,
    "memory": queue_memory.measure,
    "buffers": queue_growth.measure,
}


def measure(run_folder: Path, *, only: Sequence[str], runs: int, progress: Callable[[str], None]) -> Report:
    """Measure the parts named in `only`, or all of them, on servers of our own."""
    load_before = os.getloadavg()[0]
    rows: list[Row] = []
    with standing(run_folder) as stand:
        machine = describe(stand, load_before)
        for name, part in PARTS.items():
            if not only or name in only:
                rows += part(stand, runs=runs, progress=progress)
    return Report(bench="queue", machine=machine, runs=runs, rows=rows)
