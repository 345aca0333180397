"""A role and the process that fills it at present."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from app.ops.adapters import process_table
from app.ops.adapters.process import ServerProcess
from app.ops.errors import ServerFailed
from app.ops.maths.restarts import deaths_in_a_row, restart_delay_seconds
from app.ops.types import Role, Started


class Child:
    """`started` is what `stack.json` tells of it, nothing for a step; `restart_at` is set while a restart is due."""

    def __init__(self, role: Role):
        self.role = role
        self.process = ServerProcess(role.name, role.command, role.log, stop_signal=role.stop_signal)
        self.started: Started | None = None
        self.deaths = 0
        self.restart_at: float | None = None
        self._began_at = 0.0

    def start(self, environment: Mapping[str, str], cwd: Path) -> None:
        """Prepare the role and start its process."""
        if self.role.prepare is not None:
            self.role.prepare()
        pid = self.process.start({**environment, **self.role.environment}, cwd)
        self._began_at = time.monotonic()
        self.restart_at = None
        if not self.role.once:
            self.started = _describe(self.role, pid)

    def has_nothing_to_do(self) -> bool:
        """True for a step whose result is already there."""
        return self.role.once and self.role.ready is not None and self.role.ready()

    @property
    def age_seconds(self) -> float:
        """Since its process was started."""
        return time.monotonic() - self._began_at

    @property
    def exit_code(self) -> int | None:
        """How its process ended, or None."""
        return self.process.poll()

    @property
    def runs(self) -> bool:
        """True between its start and its end."""
        return self.process.pid is not None and self.exit_code is None

    def is_ready(self) -> bool:
        """True when its stage need not wait for it any longer; raises ServerFailed when it never will be ready."""
        code = self.exit_code
        if self.role.errand or (self.role.once and code == 0):
            return True
        if code is not None:
            raise self._failed(f"ended while starting (exit {code})")
        if not self.role.once and (self.role.ready is None or self.role.ready()):
            return True
        if self.age_seconds > self.role.ready_seconds:
            raise self._failed(f"was not ready within {self.role.ready_seconds:.0f} s")
        return False

    def note_death(self) -> None:
        """Plan the next start."""
        self.deaths = deaths_in_a_row(self.deaths, self.age_seconds)
        self.restart_at = time.monotonic() + restart_delay_seconds(self.deaths)

    def _failed(self, what: str) -> ServerFailed:
        log = f" (log: {self.role.log})" if self.role.log else ""
        way_out = f"; {self.role.way_out}" if self.role.way_out else ""
        return ServerFailed(f"{self.role.name} {what}: {self.process.last_words()}{log}{way_out}")


def _describe(role: Role, pid: int) -> Started:
    return Started(
        role=role.name,
        pid=pid,
        started_at=process_table.started_at(pid) or time.time(),
        stage=int(role.stage),
        port=role.port,
        url=role.url,
        log_file=str(role.log) if role.log else None,
        stop_signal=int(role.stop_signal),
        stop_seconds=role.stop_seconds,
    )
