"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import text

from bench.stand import OURS, Stand

BLOCK = b"\0" * 8192
SYNC_SECONDS = 1.0


def describe(stand: Stand, load_before: float) -> dict[str, Any]:
    """Cores, load, processor, versions, and how often a second the disk under Postgres makes a write durable."""
    engine = stand.engine(OURS)
    with engine.connect() as connection:
        postgres = connection.scalar(text("SHOW server_version"))
    engine.dispose()
    return {
        "cores": os.cpu_count(),
        "load_before": round(load_before, 2),
        "cpu": processor(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "fsyncs_per_second": round(fsyncs_per_second(stand.folder)),
        "postgres": postgres,
        "redis": stand.redis.info()["redis_version"],
        "python": platform.python_version(),
    }


def processor() -> str:
    """The processor's name, as far as the system says it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def fsyncs_per_second(folder: Path, seconds: float = SYNC_SECONDS) -> float:
    """8 kB written and made durable, over and over at the same place, as Postgres's log does."""
    sync = getattr(os, "fdatasync", os.fsync)
    file = os.open(folder / "fsync-probe", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.pwrite(file, BLOCK * 128, 0)
        os.fsync(file)
        begin, done = time.monotonic(), 0
        while time.monotonic() - begin < seconds:
            os.pwrite(file, BLOCK, done % 128 * len(BLOCK))
            sync(file)
            done += 1
        return done / (time.monotonic() - begin)
    finally:
        os.close(file)
        (folder / "fsync-probe").unlink()
