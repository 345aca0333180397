"""Events read back from the tables, decoded: what a projection folds again after a reorg."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from app.chain.queries.stored_events import logs_at
from app.chain.services.children import with_those_at
from app.chain.types.blocks import ContractSet, Event


def read_events(session: Session, contracts: ContractSet, places: Iterable[tuple[bytes, int]]) -> list[Event]:
    """The events of `contracts` at these (block hash, log index) that are still in the chain, in its order."""
    events: list[Event] = []
    found = logs_at(session, contracts.chain_id, places)
    contracts = with_those_at(session, contracts, (log.address for log, _ in found))
    for log, mined_at in found:
        watched = contracts.find(log)
        if watched is not None:
            events.append(Event(log, mined_at, watched.contract, watched.name, watched.decode(log)))
    return events
