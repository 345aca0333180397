"""The folder `.run/`: the lock that lets one supervisor in, `stack.json`, `secrets.json`, the logs and the data."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from app.ops.errors import AlreadyRunning, RunFolderUnusable
from app.ops.types import Stack, Started

LONG_LOG_BYTES = 10 * 2**20
SECRET_NAMES = ("postgres", "broker", "cache", "jwt", "callback", "flower", "metrics")


class RunFolder:
    """`path` is made by `open()`, which a command that only looks does not call."""

    def __init__(self, path: Path, *, node: Path | None = None):
        self.path = path.absolute()
        self.node = node or self.path / "node"
        self.logs = self.path / "logs"
        self.metrics = self.path / "metrics"
        self.secrets_file = self.path / "secrets.json"
        self._stack_file = self.path / "stack.json"

    def demo(self) -> RunFolder:
        """The demo's own run folder, inside this one; it shares the installation of anvil alone."""
        return RunFolder(self.path / "demo", node=self.node)

    def log(self, role: str) -> Path:
        """The log file of a role."""
        return self.logs / f"{role}.log"

    def open(self) -> None:
        """Make the folder; raises RunFolderUnusable, also when it is another user's: our files would lock them out."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderUnusable(
                f"{self.path} cannot be made ({error.strerror}): let this user write there, or move the checkout"
            ) from error
        owner = self.path.stat().st_uid
        if owner != os.geteuid():
            raise RunFolderUnusable(
                f"{self.path} belongs to another user (uid {owner}): run as that user, or remove the folder first"
            )
        self.logs.mkdir(exist_ok=True)

    def empty_metrics(self) -> None:
        """Forget the last run's counters: what dead processes counted is not this run's."""
        shutil.rmtree(self.metrics, ignore_errors=True)
        self.metrics.mkdir()

    def rotate_logs(self) -> None:
        """Set aside the logs that have grown long, one older copy of each kept; nothing may be writing to them."""
        for log in self.logs.glob("*.log"):
            if log.stat().st_size > LONG_LOG_BYTES:
                log.replace(log.with_suffix(".log.1"))

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held while a supervisor lives; the kernel frees it with the process, so it is never stale."""
        self.open()
        with (self.path / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunning(self._who_runs()) from None
            yield

    def _who_runs(self) -> str:
        stack = self.find_stack()
        if stack is None:
            return "Watchkeeper is starting or stopping here just now: try again in a moment"
        url = next((role.url for role in stack.roles if role.role == "api"), None)
        where = f"pid {stack.supervisor_pid}" + (f", {url}" if url else "")
        return (
            f"Watchkeeper already runs here ({where}): use it, or stop it with Ctrl-C in its terminal"
            f" or `kill {stack.supervisor_pid}`"
        )

    def find_stack(self) -> Stack | None:
        """What the last supervisor wrote; None when nothing was, or the file was made unreadable by hand."""
        try:
            content = json.loads(self._stack_file.read_text())
            return Stack(**content | {"roles": tuple(Started(**role) for role in content["roles"])})
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def running_stack(self) -> Stack | None:
        """The stack whose supervisor lives; None when it ended or was killed."""
        stack = self.find_stack()
        if stack is None:
            return None
        table = import_module("app.ops.adapters.process_table")  # psutil takes longer to load than all else here
        return stack if table.lives(stack.supervisor_pid, stack.supervisor_started_at) else None

    def write_stack(self, stack: Stack) -> None:
        """Replace `stack.json` in one step; its variables hold passwords, so only this user reads it."""
        self._write(self._stack_file, asdict(stack))

    def forget_stack(self) -> None:
        """Remove `stack.json`: everything in it has stopped."""
        self._stack_file.unlink(missing_ok=True)

    def secrets(self) -> dict[str, str]:
        """The generated passwords and keys by name, made once and kept in `secrets.json` (mode 0600)."""
        file = self.secrets_file
        known: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        missing = [name for name in SECRET_NAMES if name not in known]
        if missing:
            known |= {name: secrets.token_urlsafe(36) for name in missing}
            self._write(file, known)
        return known

    @staticmethod
    def _write(file: Path, content: object) -> None:
        fresh = file.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as target:
            json.dump(content, target, indent=1)
        fresh.replace(file)
