"""What one connection is told, from its first word to its last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from app.streaming.adapters.events import EventSource
from app.streaming.errors import SourceGone, StreamError
from app.streaming.services.connection import Connection
from app.streaming.services.hub import Hub
from app.streaming.types import STALLED, Message, Resumed, Snapshot

AGAIN_SECONDS = 0.2
CHUNK = 200


async def follow(hub: Hub, source: EventSource, connection: Connection, resume: int | None) -> AsyncIterator[Message]:
    """Either what was missed since `resume`, or a snapshot; then every event once and in order, until the connection
    ends. The connection is in the hub.

    It joins before anything is read, so nothing falls between; what the snapshot holds already is passed over.
    """
    missed = hub.join(connection, resume)
    if missed is not None and resume is not None:
        yield Resumed(resume)
        for start in range(0, len(missed), CHUNK):
            yield missed[start : start + CHUNK]
        floor = missed[-1].number if missed else resume
    else:
        snapshot = await read_snapshot(hub, source, connection, resume=resume)
        floor = snapshot.number
        yield snapshot
    while True:
        notice, frames = await connection.take()
        if connection.is_over:
            return
        if connection.is_cut_off:
            yield STALLED
            snapshot = await read_snapshot(hub, source, connection, resume=-1)
            floor = snapshot.number
            yield snapshot
            continue
        fresh = [frame for frame in frames if frame.number > floor]
        if fresh:
            yield fresh
        if notice is not None:
            yield notice


async def read_snapshot(
    hub: Hub, source: EventSource, connection: Connection, *, resume: int | None
) -> Snapshot | Resumed:
    """The present state, asked for until Redis has it whole; `reset` when there was an id to go on from.

    An id that this process has not reached yet, but Redis has (another process gave it), is gone on from after all.
    """
    while True:
        connection.mend()
        try:
            found = await source.latest(connection.topics)
        except SourceGone:
            found = None
        # Older than what this process has seen: Redis came back without it, and will be restored.
        if found is not None and found[0] >= (hub.last or 0) and not connection.is_cut_off:
            number, topics = found
            if resume is not None and (hub.last or 0) < resume <= number:
                return Resumed(resume)
            return Snapshot(number, resume is not None, topics)
        if connection.is_over:
            raise connection.ending or StreamError()
        await asyncio.sleep(AGAIN_SECONDS)
