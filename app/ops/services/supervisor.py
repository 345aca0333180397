"""Starts the roles in the order of their stages, watches them, and stops them in the reverse order, leaving no process.

The supervisor is the parent of every role and does nothing else: no role's output passes through it, so its own death
(even `kill -9`) breaks none of them. The next start finds them again by the marker in their environment.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from app.ops.adapters import process_table
from app.ops.adapters.run_folder import RunFolder
from app.ops.adapters.signals import StopSignals
from app.ops.errors import ServerFailed
from app.ops.maths.restarts import restart_delay_seconds
from app.ops.services.child import Child
from app.ops.types import Role, Stack, Stage

READY_POLL_SECONDS = 0.05
PROGRESS_SECONDS = 2.0
SWEEP_SECONDS = 2.0


class Supervisor:
    """Runs `roles` for a run folder whose lock the caller holds; `environment` is added to our own for all of them."""

    def __init__(
        self,
        roles: Iterable[Role],
        run: RunFolder,
        *,
        environment: Mapping[str, str],
        root: Path,
        say: Callable[[str], None],
    ):
        self._children = [Child(role) for role in roles]
        self._run = run
        self._added = dict(environment)
        self._environment = {**os.environ, **environment, process_table.MARKER: str(run.path)}
        self._root = root
        self._say = say
        self._signals = StopSignals()

    def run(self, when_ready: Callable[[], None]) -> int | None:
        """Start all, call `when_ready`, watch until a stop signal or the end of an errand, stop all.

        Returns the errand's exit code, or None when a signal came first. Raises ServerFailed when a role does not
        start; everything has been stopped by then.
        """
        with self._signals:
            self._record()
            try:
                self._start_all()
                if not self._signals.requested:
                    when_ready()
                    self._watch()
            except ServerFailed:
                if not self._signals.requested:  # else the signal is why it failed
                    raise
            finally:
                self._stop_all()
                self._run.forget_stack()
        if self._signals.requested:
            return None
        return next((child.exit_code for child in self._children if child.role.errand), None)

    def _start_all(self) -> None:
        for _, wave in groupby(sorted(self._children, key=_stage), key=_wave):
            waiting = [child for child in wave if not child.has_nothing_to_do()]
            for child in waiting:
                self._start(child)
            self._wait_ready(waiting)

    def _start(self, child: Child) -> None:
        if not self._signals.requested:
            child.start(self._environment, self._root)
            self._record()

    def _wait_ready(self, waiting: list[Child]) -> None:
        began = told = time.monotonic()
        while waiting and not self._signals.requested:
            for child in [child for child in waiting if self._is_ready(child)]:
                waiting.remove(child)
                self._say(f"{child.role.name}: {'done' if child.role.once else 'ready'} ({child.age_seconds:.1f} s)")
            if waiting and time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                self._say(f"waiting for {_names(waiting)} ({told - began:.0f} s)")
            if waiting:
                self._signals.wait(READY_POLL_SECONDS)

    def _is_ready(self, child: Child) -> bool:
        """Ready; a role that died is started once more while it has tries left."""
        if child.restart_at is not None:
            if time.monotonic() >= child.restart_at:
                self._start(child)
            return False
        try:
            return child.is_ready()
        except ServerFailed:
            ended = child.exit_code is not None
            child.note_death()
            if not ended or child.deaths >= child.role.start_tries:
                raise
            return False

    def _watch(self) -> None:
        errands = [child for child in self._children if child.role.errand]
        watched = [child for child in self._children if not child.role.once and not child.role.errand]
        while not self._signals.requested and all(errand.runs for errand in errands):
            for child in watched:
                self._revive(child)
            due = [child.restart_at - time.monotonic() for child in watched if child.restart_at is not None]
            self._signals.wait(min(due, default=60.0))

    def _revive(self, child: Child) -> None:
        if child.restart_at is None and child.exit_code is not None:
            child.note_death()
            process_table.kill_session(self._run.path, child.process.pid or 0)
            self._say(
                f"{child.role.name} ended by itself (exit {child.exit_code}): {child.process.last_words(1)};"
                f" started again in {restart_delay_seconds(child.deaths):g} s (log: {child.role.log})"
            )
        elif child.restart_at is not None and time.monotonic() >= child.restart_at:
            try:
                self._start(child)
                self._say(f"{child.role.name} was started again")
            except ServerFailed as error:
                child.note_death()
                self._say(error.detail)

    def _stop_all(self) -> None:
        for _, stage in groupby(sorted(self._children, key=_stage, reverse=True), key=_stage):
            self._stop_stage([child for child in stage if child.runs])
        # What a role left behind: a worker of a killed parent, a child that made a session of its own.
        process_table.sweep(self._run.path, SWEEP_SECONDS)

    def _stop_stage(self, alive: list[Child]) -> None:
        if alive:
            self._say(f"stopping {_names(alive)}")
        asked_at = time.monotonic()
        for child in alive:
            child.process.ask_to_stop()
        while alive := [child for child in alive if child.runs]:
            waited_seconds = time.monotonic() - asked_at
            for child in alive:
                if self._signals.forced or waited_seconds > child.role.stop_seconds:
                    self._say(f"{child.role.name} did not stop within {waited_seconds:.1f} s: killed")
                    child.process.kill()
            self._signals.wait(READY_POLL_SECONDS)

    def _record(self) -> None:
        self._run.write_stack(
            Stack(
                supervisor_pid=os.getpid(),
                supervisor_started_at=process_table.started_at(os.getpid()) or 0.0,
                environment=self._added,
                roles=tuple(child.started for child in self._children if child.started is not None),
            )
        )


def _stage(child: Child) -> Stage:
    return child.role.stage


def _wave(child: Child) -> Stage:
    """Once the servers are settled the roles wait for the same things and not for one another: they start together."""
    return min(child.role.stage, Stage.SERVE)


def _names(children: Sequence[Child]) -> str:
    return ", ".join(child.role.name for child in children)
