"""Forgetting old audits, in steps that commit."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy.orm import Session

from app.chain.queries.audits import prune as prune_audits

BATCH = 5000


def prune(session: Session, *, days: int, commit: Callable[[], None]) -> dict[str, int]:
    """Delete audits older than `days`, but for the newest of each set, which the next one goes on from; returns the
    rows gone. O(audits kept + rows deleted), once for each 5,000 of these.
    """
    gone = 0
    while deleted := prune_audits(session, days=days, limit=BATCH):
        gone += deleted
        commit()
    return {"audits": gone}
