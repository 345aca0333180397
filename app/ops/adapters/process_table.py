"""The machine's process table: who runs, since when, marked as whose, on which port.

A process is named by its id and its start time together: ids are re-used, and a stranger must never be killed.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from signal import SIGKILL, SIGTERM

import psutil

MARKER = "WATCHKEEPER_RUN_FOLDER"
"""Set in the environment of everything the supervisor starts, and so inherited by what those start."""

TITLED = ("postgres", "valkey-server")
HOMES = ("postgres", "broker", "cache")
"""Where in a run folder those are at home; the rest of it may hold another run folder, and that one's processes."""

KILL_SECONDS = 5.0
POLL_SECONDS = 0.02
CLOCK_STEP_SECONDS = 2.0
"""Start times are counted from the boot time, which moves a little when the clock is set."""


def started_at(pid: int) -> float | None:
    """When the process started (seconds of the epoch), or None when there is no such process, or only its zombie."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def lives(pid: int, since: float) -> bool:
    """True when process `pid` runs and is the one that started at `since`."""
    started = started_at(pid)
    return started is not None and abs(started - since) <= CLOCK_STEP_SECONDS


def find(pid: int, since: float) -> psutil.Process | None:
    """The process, when it is still the one that started at `since`."""
    return psutil.Process(pid) if lives(pid, since) else None


def started_for(run_folder: Path) -> list[psutil.Process]:
    """Every live process that a supervisor of `run_folder` started, or one of those; never this one or its parents."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in own and _is_of(process, run_folder)]


def _is_of(process: psutil.Process, run_folder: Path) -> bool:
    """Its environment says so; or it is a server that writes its title over its environment, at home in the folder."""
    try:
        if process.environ().get(MARKER) == str(run_folder):
            return _runs(process)
        return process.name() in TITLED and _is_at_home(Path(process.cwd()), run_folder.resolve())
    except (psutil.Error, OSError):  # ended meanwhile, or another user's: not ours to look at
        return False


def kill_session(run_folder: Path, leader: int) -> None:
    """Kill what a dead leader left in its session: a killed granian's workers live on, and share the port silently.

    Only what was started for the folder: the id of a leader that is gone may by now be a stranger's.
    """
    for process in started_for(run_folder):
        with contextlib.suppress(ProcessLookupError):
            if os.getsid(process.pid) == leader:
                kill_family(process)


def _is_at_home(place: Path, run_folder: Path) -> bool:
    return any(place.is_relative_to(run_folder / home) for home in HOMES)


def sweep(run_folder: Path, seconds: float) -> None:
    """Stop every process of the folder: SIGTERM, and SIGKILL for those that stay."""
    left = started_for(run_folder)
    for process in left:
        send(process, SIGTERM)
    wait_or_kill(left, seconds)


def wait_or_kill(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Wait for all, and kill those that stay, with their descendants."""
    for process in _wait_gone(processes, seconds):
        kill_family(process)


def kill_family(process: psutil.Process) -> None:
    """SIGKILL to the process and all its descendants, and wait until they are gone."""
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        send(member, SIGKILL)
    _wait_gone(family, KILL_SECONDS)


def send(process: psutil.Process, signal: int) -> None:
    """Send a signal, unless the process has ended."""
    with contextlib.suppress(psutil.NoSuchProcess):  # psutil compares start times first: a re-used id is "no such"
        process.send_signal(signal)


def _wait_gone(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until none runs; returns those that still do when the time is up. Reaps nothing: a zombie is gone."""
    deadline = time.monotonic() + seconds
    alive = [process for process in processes if _runs(process)]
    while alive and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        alive = [process for process in alive if _runs(process)]
    return alive


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def port_owner(port: int) -> str | None:
    """`name (pid 123)` of the process that listens on `port`; None when the system does not tell this user."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS tells root only
        return None
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        if listens and connection.pid is not None:
            return describe(connection.pid)
    return None


def describe(pid: int) -> str:
    """`name (pid 123)`."""
    try:
        return f"{psutil.Process(pid).name()} (pid {pid})"
    except psutil.Error:
        return f"pid {pid}"
