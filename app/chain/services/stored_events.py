"""Events read back from the tables, decoded: what a projection folds after a back-fill, and again after a reorg; and
the whole chain, for who would look back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from app.chain.queries.stored_events import block_times, logs_at, logs_to_fold, timed_logs
from app.chain.services.children import with_known, with_those_at
from app.chain.types.blocks import ContractSet, Event, Log


def read_events(session: Session, contracts: ContractSet, places: Iterable[tuple[bytes, int]]) -> list[Event]:
    """The events of `contracts` at these (block hash, log index) that are still in the chain, in its order."""
    return _of_set(session, contracts, logs_at(session, contracts.chain_id, places))


def read_blocks(session: Session, contracts: ContractSet, first: int, last: int) -> list[Event]:
    """The events of `contracts` in the blocks `first` to `last`, in the chain's order."""
    return _of_set(session, contracts, logs_to_fold(session, contracts.chain_id, first, last))


def read_history(session: Session, contracts: ContractSet, last: int) -> Iterator[Event]:
    """Every stored event of `contracts` up to the block `last`, in the chain's order. O(events), some in memory."""
    contracts = with_known(session, contracts, last)
    for log, mined_at in timed_logs(session, contracts, last):
        watched = contracts.find(log)
        if watched is not None:
            yield Event(log, mined_at, watched.contract, watched.name, watched.decode(log))


def read_block_times(session: Session, chain_id: int, first: int, last: int) -> list[tuple[int, datetime]]:
    """The blocks of the range whose time is known, in order: those with a stored event, and the newest ones."""
    return block_times(session, chain_id, first, last)


def _of_set(session: Session, contracts: ContractSet, found: Sequence[tuple[Log, datetime]]) -> list[Event]:
    events: list[Event] = []
    contracts = with_those_at(session, contracts, (log.address for log, _ in found))
    for log, mined_at in found:
        watched = contracts.find(log)
        if watched is not None:
            events.append(Event(log, mined_at, watched.contract, watched.name, watched.decode(log)))
    return events
