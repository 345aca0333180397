"""The chain as it was at a moment: for who settles by what was known then."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from app.chain.queries.cursors import lock_chain
from app.chain.queries.reading import find_final_after


class FinalBlock(NamedTuple):
    """A block after some moment: whatever undoes it may change what was before the moment, and nothing else does."""

    number: int
    hash: bytes


def hold_chain(session: Session, chain_id: int) -> None:
    """Wait until nobody writes what is folded from this chain, and be the one who may, until the transaction ends."""
    lock_chain(session, chain_id)


def first_final_after(session: Session, chain_id: int, name: str, at: datetime) -> FinalBlock | None:
    """A final block after `at`, the first that is kept, if the set is indexed past it; None until then.

    From then on only a fork below finality changes which of the set's events came until `at`. O(headers kept).
    """
    found = find_final_after(session, chain_id, name, at)
    return None if found is None else FinalBlock(*found)
