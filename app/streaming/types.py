"""The words of streaming: topics, tickets, and what a connection is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property


@dataclass(frozen=True, slots=True)
class Topic:
    """What may be subscribed to. `channel` is the events' own topic; `subject` narrows it to one (None: all)."""

    name: str
    family: str
    channel: str
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to open one connection: whose, on what topics, and what ends it.

    `subjects` are the session or key and the user behind it, whose changes end the connection; `issued_ms` is Redis's
    time then; `expires_at` is when the credential stops working by itself.
    """

    principal: str
    subjects: tuple[str, ...]
    topics: tuple[str, ...]
    issued_ms: int
    expires_at: datetime | None


@dataclass(frozen=True)
class Frame:
    """One event as it is sent: `names` are the topics that it is on, the last one its own."""

    number: int
    names: tuple[str, ...]
    text: str

    @cached_property
    def sse(self) -> bytes:
        """The event as SSE, made once for everybody."""
        return f"id: {self.number}\nevent: event\ndata: {self.text}\n\n".encode()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is now, up to and with `number`; `reset` when it is not what the reader hoped to go on from."""

    number: int
    reset: bool
    topics: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Resumed:
    """The reader goes on from here, and misses nothing."""

    number: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A word about the stream itself: `heartbeat`, `stalled` (its source is gone; wait), `live` (it is back)."""

    word: str


Message = Snapshot | Resumed | Notice | Sequence[Frame]
"""What a connection is told; the sequence is of events in order."""

HEARTBEAT, STALLED, LIVE = Notice("heartbeat"), Notice("stalled"), Notice("live")
