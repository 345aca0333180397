"""Whether a contract set's history is whole: while a back-fill reads it, what is folded from its events is not the
truth, and must not be served as if it were.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.orm import Session

from app.chain.errors import HistoryMissing
from app.chain.queries import backfills


def sets_without_history(session: Session) -> list[str]:
    """The contract sets whose history is still being read, by name."""
    return backfills.open_sets(session)


def require_history(session: Session, contract_sets: Collection[str]) -> None:
    """Raises HistoryMissing when the history of one of these is still being read."""
    missing = [name for name in backfills.open_sets(session) if name in contract_sets]
    if missing:
        raise HistoryMissing(f"The history of {', '.join(missing)} is still being read; see its back-fill's job.")
