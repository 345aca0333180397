"""What an earlier run left when its supervisor was killed: found, told in one sentence, stopped."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

from app.ops.adapters import process_table
from app.ops.adapters.run_folder import RunFolder
from app.ops.types import Started

SWEEP_SECONDS = 5.0


def clean_up(run: RunFolder, say: Callable[[str], None]) -> None:
    """Stop every process of an earlier run. The caller holds the run folder's lock, so none belongs to a live one.

    A process counts as left over by its id and start time in `stack.json`, or by what `process_table` sees in it; a
    stranger that got a re-used id is neither.
    """
    stack = run.find_stack()
    roles = [role for role in stack.roles if process_table.lives(role.pid, role.started_at)] if stack else []
    pids = {role.pid for role in roles} | {process.pid for process in process_table.started_for(run.path)}
    if pids:
        whose = f"pid {stack.supervisor_pid}" if stack else "its supervisor"
        say(f"An earlier run ({whose}) was killed and left {len(pids)} processes behind: stopping them first.")
    for _, stage in groupby(sorted(roles, key=_stage, reverse=True), key=_stage):
        _stop_stage(list(stage))
    process_table.sweep(run.path, SWEEP_SECONDS)
    run.forget_stack()


def _stop_stage(roles: list[Started]) -> None:
    """Each gets its own signal first, so that the slowest alone sets the time."""
    found = [(role, process_table.find(role.pid, role.started_at)) for role in roles]
    alive = [(role, process) for role, process in found if process is not None]
    for role, process in alive:
        process_table.send(process, role.stop_signal)
    process_table.wait_or_kill(
        [process for _, process in alive], max((role.stop_seconds for role in roles), default=0.0)
    )


def _stage(role: Started) -> int:
    return role.stage
