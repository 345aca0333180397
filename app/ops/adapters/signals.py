"""The signals that end the supervisor, and a wait that any of them (or a child's end) cuts short."""

from __future__ import annotations

import select
import signal
import socket
import time
from types import FrameType, TracebackType
from typing import Any

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SECOND_PRESS_SECONDS = 0.5
"""One Ctrl-C may arrive twice (from the terminal and from make); a person needs longer for the second."""


class StopSignals:
    """While entered, a stop signal sets `requested`; a second Ctrl-C sets `forced`.

    Nothing is raised from a handler: an exception between a fork and its bookkeeping would lose a child.
    """

    def __init__(self) -> None:
        self.requested = False
        self.forced = False
        self._first_at = 0.0

    def __enter__(self) -> StopSignals:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._before: dict[signal.Signals, Any] = {number: signal.signal(number, self._note) for number in STOPPING}
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, self._ignore)  # handled, so that it wakes `wait`
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()

    def wait(self, seconds: float) -> None:
        """Return after `seconds`, or earlier when a signal arrives."""
        if select.select([self._reader], [], [], max(0.0, seconds))[0]:
            self._reader.recv(4096)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        now = time.monotonic()
        if not self.requested:
            self._first_at = now
        elif number == signal.SIGINT and now - self._first_at > SECOND_PRESS_SECONDS:
            self.forced = True
        self.requested = True

    def _ignore(self, _number: int, _frame: FrameType | None) -> None:
        return
