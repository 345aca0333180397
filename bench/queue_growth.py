"""Shared buffers that a claim and a page touch with a live table of 10³ rows, and of 10⁶."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Engine

from bench.queue_buffers import fill, report
from bench.report import Row
from bench.stand import Stand

SMALL, LARGE = 1_000, 1_000_000


def measure(
    stand: Stand, *, runs: int, progress: Callable[[str], None], sizes: tuple[int, int] = (SMALL, LARGE)
) -> list[Row]:
    """Counted, not timed: once is enough, so `runs` does not repeat it. `baseline` is the small table."""
    small, large = (filled(stand, rows, progress) for rows in sizes)
    progress("buffers: claims and pages")
    found = report(small, large)
    small.dispose()
    large.dispose()
    return [
        Row(metric=one.metric, ours=one.large, baseline=one.small, ratio=one.ratio, bar=one.bar, ceiling=True)
        for one in found
    ]


def filled(stand: Stand, rows: int, progress: Callable[[str], None]) -> Engine:
    """A database of its own with so many live jobs."""
    progress(f"buffers: {rows} live rows")
    stand.make_database(f"live_{rows}")
    engine = stand.engine(f"live_{rows}")
    fill(engine, rows)
    return engine
