"""The hub: one reader of the event stream for the whole process, which hands each event to the connections it is for.

It remembers the last events, so that a client that was cut goes on from its id without a question to Redis. Numbers
follow one another; one that does not says that Redis lost what was between, and every connection starts anew.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence

from app.core.events import MARKER
from app.core.logging import get_logger
from app.streaming.adapters.events import Entry, EventSource
from app.streaming.errors import GoingAway, SourceGone, StreamError, StreamsFull, TooManyStreams
from app.streaming.maths.topics import names_of
from app.streaming.maths.wire import event_text
from app.streaming.services.connection import Connection
from app.streaming.services.gauges import Gauges
from app.streaming.types import LIVE, STALLED, Frame, Notice

LONGEST_PAUSE_SECONDS = 2.0
log = get_logger(__name__)


class Hub:
    """Connections by topic, and the last events by topic. One event loop; nothing here waits between look and act."""

    def __init__(
        self, source: EventSource, gauges: Gauges, *, keep: int, max_connections: int, max_per_principal: int
    ) -> None:
        self._source = source
        self._gauges = gauges
        self._keep = keep
        self._max_connections = max_connections
        self._max_per_principal = max_per_principal
        self._readers: dict[str, set[Connection]] = defaultdict(set)
        self._by_principal: Counter[str] = Counter()
        self._kept: deque[Frame | None] = deque()
        self._kept_of: dict[str, deque[Frame]] = defaultdict(deque)
        self.connections: set[Connection] = set()
        self.last: int | None = None
        self.is_live = False
        self.is_closing = False

    async def run(self) -> None:
        """Follow the stream until cancelled; without Redis, ask again with a growing pause."""
        failures = 0
        while True:
            try:
                await self._follow()
                failures = 0
            except SourceGone:
                self._stall()
                failures += 1
                pause = min(LONGEST_PAUSE_SECONDS, 0.05 * 2**failures)
                await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads retries

    async def _follow(self) -> None:
        entries = await self._source.after(self.last or 0)
        self.take_in(entries)
        if not entries and self.last and await self._source.newest() < self.last:
            log.warning("stream_went_back")
            self._start_anew(None)
        if len(entries) < self._source.page and not self.is_live:
            self.is_live = True
            log.info("stream_live", last=self.last, kept=len(self._kept))
            self.tell_all(LIVE)

    def take_in(self, entries: Sequence[Entry]) -> None:
        """Remember the entries and hand them out. O(entries × their connections)."""
        for entry in entries:
            is_marker = entry.topic == MARKER
            if is_marker or (self.last is not None and entry.number != self.last + 1):
                log.warning("stream_lost", after=self.last, number=entry.number)
                self._start_anew(entry.number)
            self.last = entry.number
            if not is_marker:
                frame = framed(entry)
                self._remember(frame)
                if frame is not None:
                    self._hand_out(frame, entry.at)

    def _remember(self, frame: Frame | None) -> None:
        """Each number takes its place, also one that is for nobody: so the length says from where on it is whole."""
        self._kept.append(frame)
        if frame is not None:
            for name in frame.names:
                self._kept_of[name].append(frame)
        while len(self._kept) > self._keep:
            oldest = self._kept.popleft()
            for name in oldest.names if oldest else ():
                self._kept_of[name].popleft()
                if not self._kept_of[name]:
                    del self._kept_of[name]

    def _hand_out(self, frame: Frame, at: str) -> None:
        readers: set[Connection] = set()
        for name in frame.names:
            readers |= self._readers.get(name, frozenset())
        for reader in readers:
            reader.offer(frame)
        if self.is_live:
            self._gauges.handed_out(at, len(readers))

    def _start_anew(self, last: int | None) -> None:
        self._kept.clear()
        self._kept_of.clear()
        self.last = last
        for connection in self.connections:
            connection.cut_off()

    def _stall(self) -> None:
        if self.is_live:
            self.is_live = False
            log.warning("stream_stalled")
            self.tell_all(STALLED)

    def check_room(self) -> None:
        """Raises what a new connection is refused with, whoever asks: GoingAway, SourceGone, StreamsFull."""
        if self.is_closing:
            raise GoingAway()
        if not self.is_live:
            raise SourceGone()
        if len(self.connections) >= self._max_connections:
            raise StreamsFull()

    def enter(self, connection: Connection) -> None:
        """Take a connection in; it gets nothing before it has joined. Raises TooManyStreams, or as `check_room`."""
        self.check_room()
        principal = connection.ticket.principal
        if self._by_principal[principal] >= self._max_per_principal:
            raise TooManyStreams()
        self.connections.add(connection)
        self._by_principal[principal] += 1
        self._gauges.opened(connection.transport)

    def join(self, connection: Connection, resume: int | None) -> list[Frame] | None:
        """From here on the connection is offered what comes; returns what came after `resume`, None when that is not
        known any more.
        """
        for topic in connection.topics:
            self._readers[topic.name].add(connection)
        return None if resume is None else self._since(resume, [topic.name for topic in connection.topics])

    def _since(self, number: int, names: Iterable[str]) -> list[Frame] | None:
        if self.last is None or not self.last - len(self._kept) <= number <= self.last:
            return None
        missed: dict[int, Frame] = {}
        for name in names:
            for frame in reversed(self._kept_of.get(name, ())):
                if frame.number <= number:
                    break
                missed[frame.number] = frame
        return [missed[place] for place in sorted(missed)]

    def leave(self, connection: Connection) -> None:
        """Forget a connection; harmless when it never came in."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        for topic in connection.topics:
            readers = self._readers[topic.name]
            readers.discard(connection)
            if not readers:
                del self._readers[topic.name]
        principal = connection.ticket.principal
        self._by_principal[principal] -= 1
        if not self._by_principal[principal]:
            del self._by_principal[principal]
        self._gauges.closed(connection.transport, connection.ending)

    def end_all(self, error: StreamError) -> None:
        """End every connection for this reason."""
        for connection in self.connections:
            connection.end(error)

    def tell_all(self, notice: Notice) -> None:
        """A word to every connection."""
        for connection in self.connections:
            connection.tell(notice)

    async def close(self, seconds: float) -> None:
        """Tell everybody that this process ends, and give them some seconds to hear it."""
        self.is_closing = True
        self.end_all(GoingAway())
        deadline = asyncio.get_running_loop().time() + seconds
        while self.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)


def framed(entry: Entry) -> Frame | None:
    """The event as it is sent; None for one that is on no topic."""
    names = names_of(entry.topic, entry.subject)
    if not names:
        return None
    return Frame(entry.number, names, event_text(entry.number, names[-1], entry.at, entry.payload))
