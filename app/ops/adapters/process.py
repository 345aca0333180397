"""A server as our own child: we choose the stop order, and we reap it."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from signal import SIGTERM, Signals
from typing import IO

import psutil

from app.ops.adapters import process_table
from app.ops.errors import ServerFailed

POLL_SECONDS = 0.02
LOCAL = "127.0.0.1"
HELD_PORTS = 256
"""Many times what a stack needs, and less than the files that a process may open."""

_held: deque[int] = deque()  # open files, which the kernel closes with this process


class ServerProcess:
    """One child process in a session of its own, its output in `log`, or with ours when there is none."""

    def __init__(self, name: str, command: Sequence[str], log: Path | None, *, stop_signal: Signals = SIGTERM):
        self.name = name
        self.command = [str(part) for part in command]
        self.log = log
        self.stop_signal = stop_signal
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, or None before the start."""
        return self._popen.pid if self._popen else None

    def start(self, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> int:
        """Start the child and return its process id at once; raises ServerFailed when there is no such program."""
        with self._output() as output:
            try:
                self._popen = subprocess.Popen(  # noqa: S603 - our own command line
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=dict(environment) if environment is not None else None,
                    cwd=cwd,
                )
            except OSError as error:
                raise ServerFailed(f"{self.name} cannot be started: {error}") from error
        return self._popen.pid

    def _output(self) -> AbstractContextManager[IO[bytes] | None]:
        if self.log is None:
            return contextlib.nullcontext()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        return self.log.open("ab")

    def poll(self) -> int | None:
        """The exit code, or None while it runs (also before the start)."""
        return self._popen.poll() if self._popen else None

    def wait_ready(self, ready: Callable[[], bool], seconds: float = 30.0) -> None:
        """Poll `ready` until it is true; raises ServerFailed when the child ends first or the time is up."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.poll() is not None:
                raise ServerFailed(f"{self.name} stopped while starting (exit {self.poll()}): {self.last_words()}")
            if time.monotonic() > deadline:
                raise ServerFailed(f"{self.name} did not answer within {seconds:.0f} s; see {self.log}")
            time.sleep(POLL_SECONDS)

    def ask_to_stop(self) -> None:
        """Send the stop signal; returns at once."""
        if self._popen is not None and self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(self.stop_signal)

    def stop(self, seconds: float = 15.0) -> None:
        """Ask it to stop, and kill it with all its descendants when it does not."""
        if self._popen is None:
            return
        self.ask_to_stop()
        try:
            self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL to the child and every descendant, those that left its session too; then reap it."""
        if self._popen is None:
            return
        if self._popen.poll() is None:
            process_table.kill_family(psutil.Process(self._popen.pid))
        self._popen.wait()

    def last_words(self, lines: int = 3) -> str:
        """The last lines of its log, joined: what a one-sentence error quotes."""
        if self.log is None or not self.log.exists():
            return "no output"
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-lines:]) or "no output"


def free_port(usual: int = 0) -> int:
    """A TCP port of 127.0.0.1 for a server of ours: `usual` when nobody has it, else any.

    It stays bound by this process, beside the server that listens there: two stacks that look at the same instant get
    different ones, and a server that restarts finds its own again.
    """
    holder = socket.socket()
    try:
        holder.bind((LOCAL, usual))  # ours alone, for SO_REUSEADDR is not set yet
    except OSError:
        holder.bind((LOCAL, 0))
    port = int(holder.getsockname()[1])
    if sys.platform == "linux":
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # lets a server that sets it too listen beside us
        _held.append(holder.detach())
    else:  # there nobody can listen beside a bound socket
        holder.close()
    if len(_held) > HELD_PORTS:
        os.close(_held.popleft())
    return port


def port_is_taken(port: int, host: str = LOCAL) -> bool:
    """True when the port cannot be ours alone; granian would share it silently (SO_REUSEPORT).

    Both a connection and a bind are tried: the first finds a listener on every address where the second does not
    (macOS), the second one that does not accept. Raises OSError for an address or port that this user may not open.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((host, port)) == 0:
            return True
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection that lingers is no owner
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return True
            raise
    return False
