"""One reader: what waits to be sent to it, bounded, and why it ends."""

from __future__ import annotations

import asyncio
from collections import deque

from app.streaming.errors import StreamError, TooSlow
from app.streaming.maths.topics import parse_topic
from app.streaming.types import Frame, Notice, Ticket


class Connection:
    """Filled by the hub, emptied by whoever writes to the socket; both in one event loop, so nothing is locked."""

    def __init__(self, ticket: Ticket, transport: str, queue_events: int):
        self.ticket = ticket
        self.transport = transport
        self.topics = tuple(parse_topic(name) for name in ticket.topics)
        self.ending: StreamError | None = None
        self.is_over = False
        self.is_cut_off = False
        self._queue_events = queue_events
        self._waiting: deque[Frame] = deque()
        self._notice: Notice | None = None
        self._wake = asyncio.Event()
        self._ended = asyncio.Event()

    def offer(self, frame: Frame) -> None:
        """One more event; who has not read so many before it is ended."""
        if self.is_over or self.is_cut_off:
            return
        if len(self._waiting) >= self._queue_events:
            self.end(TooSlow())
            return
        self._waiting.append(frame)
        self._wake.set()

    def tell(self, notice: Notice) -> None:
        """A word about the stream; only the last one is kept for a reader who is behind."""
        self._notice = notice
        self._wake.set()

    def cut_off(self) -> None:
        """What was to come is lost: the reader needs a new snapshot, and what waits is void."""
        self._waiting.clear()
        self.is_cut_off = True
        self._wake.set()

    def mend(self) -> None:
        """A new snapshot is about to be read: from here on events count again."""
        self.is_cut_off = False

    def end(self, error: StreamError) -> None:
        """Send nothing more but the reason; the first one stands."""
        if self.ending is None:
            self.ending = error
            self.hang_up()

    def hang_up(self) -> None:
        """It is over, also where nobody is left to be told why."""
        self.is_over = True
        self._waiting.clear()
        self._wake.set()
        self._ended.set()

    async def ended(self) -> None:
        """Return when this is to end."""
        await self._ended.wait()

    async def take(self) -> tuple[Notice | None, list[Frame]]:
        """Wait for something to send, and take all of it."""
        await self._wake.wait()
        self._wake.clear()
        frames, notice = list(self._waiting), self._notice
        self._waiting.clear()
        self._notice = None
        return notice, frames
