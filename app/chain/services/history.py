"""The stored chain read from its beginning, for who would look back: events in order, and when blocks were mined."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.orm import Session

from app.chain.queries import stored_events
from app.chain.services.children import with_known
from app.chain.types.blocks import ContractSet, Event


def read_history(session: Session, contracts: ContractSet, last: int) -> Iterator[Event]:
    """Every stored event of `contracts` up to the block `last`, in the chain's order. O(events), some in memory."""
    contracts = with_known(session, contracts, last)
    for log, mined_at in stored_events.timed_logs(session, contracts, last):
        watched = contracts.find(log)
        if watched is not None:
            yield Event(log, mined_at, watched.contract, watched.name, watched.decode(log))


def read_block_times(session: Session, chain_id: int, first: int, last: int) -> list[tuple[int, datetime]]:
    """The blocks of the range whose time is known, in order: those with a stored event, and the newest ones."""
    return stored_events.block_times(session, chain_id, first, last)
