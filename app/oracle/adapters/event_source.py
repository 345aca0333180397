"""Server-sent events, read from whatever pieces the network makes of them (WHATWG HTML, "Server-sent events")."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from app.oracle.errors import SourceAnswerInvalid


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its name, `message` when the server gives none, and its data."""

    name: str
    data: bytes


class EventReader:
    """Takes pieces of a stream and gives the events that they complete. Holds at most `max_bytes` of an event."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._line = bytearray()
        self._after_return = False
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """The events that end within this piece; raises SourceAnswerInvalid for one that is too large."""
        for line in self._lines(piece):
            if line:
                self._field(line)
                continue
            if self._data:
                yield Event(self._name or "message", b"\n".join(self._data))
            self._name, self._data, self._size = "", [], 0

    def _lines(self, piece: bytes) -> Iterator[bytes]:
        """The lines that end in the piece: at a return, a newline, or both."""
        for part in piece.splitlines(keepends=True):
            if self._after_return and part == b"\n":
                self._after_return = False
                continue
            self._after_return = part.endswith(b"\r")
            self._line += part
            if len(self._line) + self._size > self._max_bytes:
                raise SourceAnswerInvalid(f"An event of the stream is larger than {self._max_bytes} bytes.")
            if part.endswith((b"\r", b"\n")):
                line = bytes(self._line).rstrip(b"\r\n")
                self._line.clear()
                yield line

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._size += len(value)
        elif name == b"event":
            self._name = value.decode(errors="replace")
