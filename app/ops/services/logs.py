"""The roles' log files, their ends and what is added to them, each line with its role in front."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from app.ops.adapters.run_folder import RunFolder
from app.ops.errors import UnknownRole

POLL_SECONDS = 0.3


class LogTail:
    """One role's log, read from where the last look ended; a file that was cut or replaced is read from its start."""

    def __init__(self, file: Path, width: int):
        self._file = file
        self._prefix = f"{file.stem:<{width}} | " if width else ""
        self._position = 0
        self._unfinished = b""

    def last(self, count: int) -> list[str]:
        """The last `count` whole lines; what is added later comes from `more`."""
        return list(deque(self.more(), maxlen=count))

    def more(self) -> Iterator[str]:
        """The whole lines added since the last look."""
        try:
            with self._file.open("rb") as source:
                if source.seek(0, 2) < self._position:
                    self._position, self._unfinished = 0, b""
                source.seek(self._position)
                read = self._unfinished + source.read()
                self._position = source.tell()
        except FileNotFoundError:
            return
        *lines, self._unfinished = read.split(b"\n")
        for line in lines:
            yield self._prefix + line.decode(errors="replace")


def tails(run: RunFolder, role: str | None) -> list[LogTail]:
    """One role's log, or all of them; raises UnknownRole with the names there are."""
    names = sorted(file.stem for file in run.logs.glob("*.log"))
    if role is None:
        width = max(map(len, names), default=0)
        return [LogTail(run.log(name), width) for name in names]
    if role not in names:
        raise UnknownRole(f"{role} has no log here; there is: {', '.join(names) or 'none, as nothing has run yet'}.")
    return [LogTail(run.log(role), 0)]


def read_logs(run: RunFolder, role: str | None, *, lines: int, follow: bool) -> Iterator[str]:
    """The last `lines` of each log; with `follow`, then what is added, until the reader stops reading."""
    chosen = tails(run, role)
    for tail in chosen:
        yield from tail.last(lines)
    while follow:
        time.sleep(POLL_SECONDS)
        for tail in chosen:
            yield from tail.more()
