"""What a benchmark is doing, on the error stream, once it has taken longer than two seconds."""

from __future__ import annotations

import sys
import time

QUIET_SECONDS = 2.0


class Progress:
    """Call it with each step's words: a line with the seconds since the start; one changing line on a terminal."""

    def __init__(self) -> None:
        self._begin = time.monotonic()

    def __call__(self, words: str) -> None:
        """Show a step."""
        seconds = time.monotonic() - self._begin
        if seconds < QUIET_SECONDS:
            return
        head, end = ("\r\033[K", "") if sys.stderr.isatty() else ("", "\n")
        sys.stderr.write(f"{head}{seconds:5.0f} s  {words}{end}")
        sys.stderr.flush()
