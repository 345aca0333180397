"""Indexing that was halted goes on, because an operator says so."""

from __future__ import annotations

from sqlalchemy.orm import Session

from app.chain.errors import SetNotHalted, UnknownContractSet
from app.chain.queries import alarms, cursors, reading
from app.chain.services.reorgs import FORK_BELOW_FINALITY
from app.chain.types.reading import Progress


def resume_set(session: Session, chain_id: int, name: str) -> tuple[Progress, Progress]:
    """Lift the halt of the set `name`, and with it that of every set of its chain; returns the set before and after.

    What was called final is forgotten, and the alarms about it are resolved: where the node still has the other chain,
    the next look rewinds to it. Raises UnknownContractSet and SetNotHalted.
    """
    before = _get(session, chain_id, name)
    if before.halted_at is None:
        raise SetNotHalted()
    cursors.resume(session, chain_id)
    alarms.resolve_kind(session, chain_id, FORK_BELOW_FINALITY)
    return before, _get(session, chain_id, name)


def _get(session: Session, chain_id: int, name: str) -> Progress:
    progress = reading.find_progress(session, chain_id, name)
    if progress is None:
        raise UnknownContractSet(f"Nothing of {name} was ever indexed.")
    return progress
