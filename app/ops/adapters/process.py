"""A server as our own child: we choose the stop order, and we reap it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class ServerFailed(RuntimeError):
    """A server did not start; the message is one sentence with a way out."""


class ServerProcess:
    """One child process in a session of its own, its output in `log`."""

    def __init__(self, name: str, command: Sequence[str], log: Path, *, stop_signal: signal.Signals = signal.SIGTERM):
        self.name = name
        self.command = [str(part) for part in command]
        self.log = log
        self.stop_signal = stop_signal
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The child's process id, or None before the start."""
        return self._popen.pid if self._popen else None

    def start(self, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        """Start the child; returns at once."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._popen = subprocess.Popen(  # noqa: S603 - our own command line
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=dict(environment) if environment is not None else None,
                cwd=cwd,
            )

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
            time.sleep(0.02)

    def stop(self, seconds: float = 15.0) -> None:
        """Ask it to stop, and kill its whole session when it does not."""
        if self._popen is None:
            return
        if self._popen.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self._popen.send_signal(self.stop_signal)
            try:
                self._popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self._popen.wait()

    def kill(self) -> None:
        """SIGKILL to the child and everything in its session."""
        if self._popen is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._popen.pid, signal.SIGKILL)
            self._popen.wait()

    def last_words(self, lines: int = 3) -> str:
        """The last lines of its log, joined: what a one-sentence error quotes."""
        if not self.log.exists():
            return "no output"
        return " | ".join(self.log.read_text(errors="replace").strip().splitlines()[-lines:]) or "no output"


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_taken(port: int, host: str = "127.0.0.1") -> bool:
    """True when something listens there; granian would share such a port silently."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0
