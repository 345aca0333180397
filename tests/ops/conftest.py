"""A stack as a process of its own, and the eyes to see what it leaves behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Timer
from types import MappingProxyType
from typing import Any

import psutil
import pytest

from app.ops.adapters import process_table
from app.ops.adapters.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 90


RUNS = "Ctrl-C stops everything"
"""The last words of a start."""


class StackProcess:
    """`tests.ops.small_stack` in `run`'s folder; every wait ends with the process, which a timer ends."""

    def __init__(
        self,
        run: RunFolder,
        *roles: str,
        prefix: Sequence[str] = (),
        cwd: Path = ROOT,
        environment: Mapping[str, str] = MappingProxyType({}),
    ):
        self.run = run
        self.said: list[str] = []
        self.popen = subprocess.Popen(
            [*prefix, sys.executable, "-m", "tests.ops.small_stack", str(run.path), *roles],
            cwd=cwd,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._timer = Timer(PATIENCE_SECONDS, self.popen.kill)
        self._timer.start()

    def wait_for(self, words: str) -> str:
        """Read along until a line holds `words`; returns it."""
        for line in self.popen.stdout:
            self.said.append(line)
            if words in line:
                return line
        raise AssertionError(f"never said {words!r}: {''.join(self.said)}")

    def send(self, number: signal.Signals) -> None:
        """A signal to the supervisor alone."""
        self.popen.send_signal(number)

    def end(self) -> int:
        """Read to the end; returns the exit code."""
        if not self.popen.stdout.closed:
            self.said += self.popen.stdout
            self.popen.stdout.close()
        code = self.popen.wait()
        self._timer.cancel()
        return code

    @property
    def text(self) -> str:
        """Everything it said so far."""
        return "".join(self.said)

    def pid_of(self, role: str) -> int:
        """The role's process id, as `stack.json` tells it."""
        stack = self.run.find_stack()
        assert stack is not None
        return next(started.pid for started in stack.roles if started.role == role)


def alive_in(run: RunFolder) -> list[psutil.Process]:
    """What runs for the folder: it names it in its environment or on its command line, or works in it."""
    return [process for process in psutil.process_iter() if _is_of(process, str(run.path))]


def _is_of(process: psutil.Process, folder: str) -> bool:
    try:
        traces = [*process.environ().values(), *process.cmdline(), process.cwd()]
        return any(folder in trace for trace in traces) and process.pid != os.getpid()
    except (psutil.Error, OSError):  # ended meanwhile, also as a zombie
        return False


@pytest.fixture
def run(tmp_path: Path, anvil_binary: Path) -> RunFolder:
    """A run folder whose path has spaces and quotes; anvil is lent from this checkout, so that no test downloads."""
    run = RunFolder(tmp_path / 'a "checkout" with spaces' / ".run")
    run.open()
    (run.path / "node").symlink_to(ROOT / ".run" / "node")
    return run


@pytest.fixture
def stack(run: RunFolder) -> Iterator[Callable[..., StackProcess]]:
    """Starts stacks, in the `run` folder unless told; what a test leaves running is stopped."""
    made: list[StackProcess] = []

    def start(*roles: str, run: RunFolder = run, **options: Any) -> StackProcess:
        made.append(StackProcess(run, *roles, **options))
        return made[-1]

    yield start
    for process in made:
        process.popen.terminate()
        process.end()
        process_table.sweep(process.run.path, 5)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout's files under a folder that, like a home, only its owner may enter."""
    return copied_checkout(tmp_path / "a home")


def copied_checkout(home: Path) -> Path:
    """The copy, in a new folder `home`."""
    home.mkdir(mode=0o700)
    copy = home / "check out"
    for name in subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, copy / name)
    return copy
