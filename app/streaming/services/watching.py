"""What ends streams from outside: credentials that expire, change or are revoked; and the signs of life."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime

from app.accounts.types import MARK_SECONDS
from app.core.logging import get_logger
from app.streaming.adapters.standing import StandingReader
from app.streaming.errors import AccessEnded, SourceGone, TicketRefused
from app.streaming.services.hub import Hub
from app.streaming.types import HEARTBEAT, Ticket

LOOK_SECONDS = 1.0
MARGIN_MS = 100
"""A mark this much older than the ticket still counts: the API may trust a look that is a little older than its own
(`LOOK_SECONDS` of its standing cache).
"""

log = get_logger(__name__)


def is_void(ticket: Ticket, changes: Mapping[str, int], now: datetime) -> bool:
    """Whether the credential behind a ticket has expired, or changed since the API looked at it."""
    if ticket.expires_at is not None and ticket.expires_at <= now:
        return True
    since = ticket.issued_ms - MARGIN_MS
    return any(changes[subject] > since for subject in ticket.subjects if subject in changes)


async def redeem(standings: StandingReader, word: str, clock: Callable[[], datetime]) -> Ticket:
    """The ticket, used up; raises TicketRefused, or SourceGone without the cache."""
    ticket = await standings.take(word)
    if ticket is None or is_void(ticket, await standings.changes(ticket.subjects), clock()):
        raise TicketRefused()
    return ticket


class Watch:
    """Looks once a second after the credentials of all connections, until cancelled."""

    def __init__(self, hub: Hub, standings: StandingReader, clock: Callable[[], datetime]):
        self._hub = hub
        self._standings = standings
        self._clock = clock
        self._epoch: object = None

    async def run(self) -> None:
        """Marks live `MARK_SECONDS`: who could not look for half of that trusts nobody any more."""
        loop = asyncio.get_running_loop()
        looked_at = loop.time()
        while True:
            try:
                await self.look()
                looked_at = loop.time()
            except SourceGone:
                log.warning("stream_standings_unseen")
                if loop.time() - looked_at > MARK_SECONDS / 2:
                    self._hub.end_all(SourceGone())
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """End the connections whose credential is over; all of them, when the cache has lost its marks."""
        epoch = await self._standings.epoch()
        if self._epoch is not None and epoch != self._epoch:
            self._hub.end_all(AccessEnded())
        self._epoch = epoch
        subjects = {subject for connection in self._hub.connections for subject in connection.ticket.subjects}
        changes = await self._standings.changes(subjects)
        now = self._clock()
        for connection in self._hub.connections:
            if is_void(connection.ticket, changes, now):
                connection.end(AccessEnded())


async def beat(hub: Hub, seconds: float) -> None:
    """A sign of life to everybody, until cancelled: a proxy's patience, and a client's."""
    while True:
        await asyncio.sleep(seconds)
        hub.tell_all(HEARTBEAT)
