"""Statements on back-fills: which contract sets lack history, and how far what they have is folded."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.types.backfills import Backfill

FIND = text(
    """
    SELECT chain_id, contract_set, start_block, first_block, last_block, chunk_blocks, fold_block, children_known
    FROM chain_backfills WHERE chain_id = :chain_id AND contract_set = :contract_set
    """
)

OPEN = text(
    """
    INSERT INTO chain_backfills (chain_id, contract_set, start_block, first_block, last_block, chunk_blocks, fold_block)
    VALUES (:chain_id, :contract_set, :start_block, :first_block, :last_block, :chunk_blocks, :fold_block)
    """
)

FOLDED = text(
    "UPDATE chain_backfills SET fold_block = :fold_block WHERE chain_id = :chain_id AND contract_set = :contract_set"
)

CHILDREN = text(
    """
    UPDATE chain_backfills SET children_known = :children_known
    WHERE chain_id = :chain_id AND contract_set = :contract_set
    """
)

# Below the live head's start contracts may be gone, and others made: the chunks are read for creations first, again.
REWIND = text(
    """
    UPDATE chain_backfills
    SET fold_block = least(fold_block, greatest(start_block, :from_block)),
        children_known = CASE WHEN last_block < :from_block THEN children_known END
    WHERE chain_id = :chain_id AND (fold_block > :from_block OR last_block >= :from_block)
    """
)

CLOSE = text("DELETE FROM chain_backfills WHERE chain_id = :chain_id AND contract_set = :contract_set")

OPEN_SETS = text("SELECT contract_set FROM chain_backfills ORDER BY contract_set")


def find(session: Session, chain_id: int, contract_set: str) -> Backfill | None:
    """The set's plan, None when its history is whole."""
    row = session.execute(FIND, {"chain_id": chain_id, "contract_set": contract_set}).one_or_none()
    return None if row is None else Backfill(**row._asdict())


def open_plan(session: Session, plan: Backfill) -> None:
    """Write a plan down; from here on the set lacks history."""
    session.execute(OPEN, asdict(plan))


def folded(session: Session, plan: Backfill, fold_block: int) -> None:
    """Note that the events below `fold_block` are in the projections."""
    values = {"chain_id": plan.chain_id, "contract_set": plan.contract_set, "fold_block": fold_block}
    session.execute(FOLDED, values)


def know_children(session: Session, plan: Backfill, count: int) -> None:
    """Note how many contracts are known as the chunks begin to be read for their events."""
    values = {"chain_id": plan.chain_id, "contract_set": plan.contract_set, "children_known": count}
    session.execute(CHILDREN, values)


def rewind(session: Session, chain_id: int, from_block: int) -> None:
    """Let what was folded from `from_block` on be folded again, in every plan of the chain."""
    session.execute(REWIND, {"chain_id": chain_id, "from_block": from_block})


def close(session: Session, plan: Backfill) -> None:
    """Forget the plan: the set's history is whole."""
    session.execute(CLOSE, {"chain_id": plan.chain_id, "contract_set": plan.contract_set})


def open_sets(session: Session) -> list[str]:
    """The contract sets that lack history, by name."""
    return list(session.scalars(OPEN_SETS))
