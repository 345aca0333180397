"""Statements on cursors: where each contract set stands, and the lock that orders writers of one chain."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.chain.errors import CursorMoved
from app.chain.types.blocks import Header
from app.chain.types.indexing import Cursor

# One writer a chain at a time: a reorg found by one contract set rewinds them all, and none may write beside it.
# Held to the end of the transaction; no network is waited on under it.
LOCK_CHAIN = text("SELECT pg_advisory_xact_lock(hashtextextended('chain_writer:' || CAST(:chain_id AS text), 0))")

OPEN = text(
    """
    INSERT INTO chain_cursors (chain_id, name, start_block, next_block)
    VALUES (:chain_id, :name, :start_block, :start_block)
    ON CONFLICT DO NOTHING
    """
)

COLUMNS = """
    c.chain_id, c.name, c.start_block, c.next_block, c.tip_hash, c.tip_at, c.head_block, c.final_block, c.halted_reason,
    EXISTS (SELECT FROM chain_backfills b WHERE b.chain_id = c.chain_id AND b.contract_set = c.name) AS lacks_history
"""

NAMED = text(
    f"SELECT {COLUMNS} FROM chain_cursors c WHERE c.chain_id = :chain_id AND c.name = ANY(:names)"  # noqa: S608 - constants
)

# Compare-and-set: only from where the range was read from. The block's time is that of the new tip. The start is part
# of it because it moves when history has met the head: from then on the set feeds its projections.
ADVANCE = text(
    f"""
    UPDATE chain_cursors c
    SET next_block = :next_block, tip_hash = :tip_hash, tip_at = :tip_at, head_block = :head_block,
        final_block = greatest(final_block, :final_block), checked_at = now()
    WHERE chain_id = :chain_id AND name = :name AND next_block = :from_block AND start_block = :start_block
      AND tip_hash IS NOT DISTINCT FROM CAST(:from_hash AS bytea) AND halted_at IS NULL
    RETURNING {COLUMNS}
    """  # noqa: S608 - the columns are a constant
)

# What a look at the head found, when there was nothing to read.
LOOKED = text(
    """
    UPDATE chain_cursors
    SET head_block = :head_block, final_block = greatest(final_block, :final_block), checked_at = now()
    WHERE chain_id = :chain_id AND name = :name
    """
)

# Every set of the chain that went past :from_block stands before it again, on the header kept of the block below; one
# that has leapt, and read nothing since, may stand on a block that is gone.
REWIND = text(
    """
    UPDATE chain_cursors c
    SET next_block = greatest(c.start_block, :from_block), rewinds = c.rewinds + 1,
        tip_hash = below.hash, tip_at = below.mined_at
    FROM chain_cursors self
    LEFT JOIN chain_headers below
      ON below.chain_id = self.chain_id AND below.number = greatest(self.start_block, :from_block) - 1
     AND self.start_block < :from_block
    WHERE c.chain_id = :chain_id AND self.chain_id = c.chain_id AND self.name = c.name AND c.next_block > :from_block
      AND (c.next_block > c.start_block OR c.tip_hash IS NOT NULL)
    """
)

# Also of sets that are not past it: what one of them still called final would make a shorter chain a lagging node.
NOT_FINAL = text(
    """
    UPDATE chain_cursors SET final_block = nullif(:from_block - 1, -1)
    WHERE chain_id = :chain_id AND final_block >= :from_block
    """
)

DROP = text(
    """
    WITH sizes AS (DELETE FROM chain_range_sizes WHERE chain_id = :chain_id AND contract_set = ANY(:names))
    DELETE FROM chain_cursors WHERE chain_id = :chain_id AND name = ANY(:names)
    """
)

# What the set has read so far goes on as a range, so that a fork below finality finds it there.
SET_ASIDE = text(
    """
    INSERT INTO chain_cursors (chain_id, name, start_block, next_block, tip_hash, tip_at, head_block, final_block)
    SELECT chain_id, :range, start_block, next_block, tip_hash, tip_at, head_block, final_block
    FROM chain_cursors WHERE chain_id = :chain_id AND name = :name
    ON CONFLICT (chain_id, name) DO UPDATE
    SET start_block = excluded.start_block, next_block = excluded.next_block, tip_hash = excluded.tip_hash,
        tip_at = excluded.tip_at
    """
)

LEAP = text(
    """
    UPDATE chain_cursors
    SET start_block = :next_block, next_block = :next_block, tip_hash = :tip_hash, tip_at = :tip_at
    WHERE chain_id = :chain_id AND name = :name
    """
)

RESTART = text(
    """
    UPDATE chain_cursors SET next_block = start_block, tip_hash = NULL, tip_at = NULL
    WHERE chain_id = :chain_id AND name = ANY(:names)
    """
)

BEGIN_AT = text("UPDATE chain_cursors SET start_block = :start_block WHERE chain_id = :chain_id AND name = :name")

FIRST_START = text("SELECT min(start_block) FROM chain_cursors WHERE chain_id = :chain_id")

HIGHEST_FINAL = text("SELECT max(final_block) FROM chain_cursors WHERE chain_id = :chain_id")

HALT = text(
    """
    UPDATE chain_cursors SET halted_at = now(), halted_reason = :reason
    WHERE chain_id = :chain_id AND halted_at IS NULL
    """
)

RESUME = text(
    """
    UPDATE chain_cursors SET halted_at = NULL, halted_reason = NULL, final_block = NULL
    WHERE chain_id = :chain_id AND halted_at IS NOT NULL
    """
)


def lock_chain(session: Session, chain_id: int) -> None:
    """Wait until no other transaction writes this chain's events, headers or cursors; then be the one that does."""
    session.execute(LOCK_CHAIN, {"chain_id": chain_id})


def open_cursor(session: Session, *, chain_id: int, name: str, start_block: int) -> None:
    """Make the set's cursor at its start block, unless there is one."""
    session.execute(OPEN, {"chain_id": chain_id, "name": name, "start_block": start_block})


def find_cursor(session: Session, chain_id: int, name: str) -> Cursor | None:
    """The set's cursor, or None when nothing of it was ever indexed."""
    return named(session, chain_id, [name]).get(name)


def named(session: Session, chain_id: int, names: Sequence[str]) -> dict[str, Cursor]:
    """The cursors of these names that there are, by name. O(names)."""
    rows = session.execute(NAMED, {"chain_id": chain_id, "names": list(names)})
    return {row.name: _cursor(row) for row in rows}


def advance(
    session: Session,
    cursor: Cursor,
    *,
    next_block: int,
    tip_hash: bytes,
    tip_at: datetime,
    head_block: int,
    final_block: int | None,
) -> Cursor:
    """Move `cursor` on; raises CursorMoved when it is no longer where it was read, or halted."""
    values = {
        "chain_id": cursor.chain_id,
        "name": cursor.name,
        "from_block": cursor.next_block,
        "start_block": cursor.start_block,
        "from_hash": cursor.tip_hash,
        "next_block": next_block,
        "tip_hash": tip_hash,
        "tip_at": tip_at,
        "head_block": head_block,
        "final_block": final_block,
    }
    row = session.execute(ADVANCE, values).one_or_none()
    if row is None:
        raise CursorMoved()
    return _cursor(row)


def looked(session: Session, cursor: Cursor, *, head_block: int, final_block: int | None) -> None:
    """Note what the node's head was, when there was nothing new to read."""
    values = {"chain_id": cursor.chain_id, "name": cursor.name, "head_block": head_block, "final_block": final_block}
    session.execute(LOOKED, values)


def rewind(session: Session, chain_id: int, from_block: int) -> None:
    """Put every cursor of the chain that is past `from_block` back before it, and let none call it final. Headers below
    must still be there.
    """
    session.execute(REWIND, {"chain_id": chain_id, "from_block": from_block})
    session.execute(NOT_FINAL, {"chain_id": chain_id, "from_block": from_block})


def first_start(session: Session, chain_id: int) -> int | None:
    """The lowest block any set of the chain begins with."""
    first: int | None = session.execute(FIRST_START, {"chain_id": chain_id}).scalar_one()
    return first


def drop_cursors(session: Session, chain_id: int, names: Sequence[str]) -> None:
    """Forget how far these ranges were read; their rows stay."""
    session.execute(DROP, {"chain_id": chain_id, "names": list(names)})


def set_aside(session: Session, cursor: Cursor, range_name: str) -> None:
    """Keep what the cursor has read as a cursor of that range, too."""
    session.execute(SET_ASIDE, {"chain_id": cursor.chain_id, "name": cursor.name, "range": range_name})


def leap(session: Session, cursor: Cursor, *, tip: Header) -> None:
    """Let the cursor begin right after `tip`, whatever lies between. Only under the chain's lock."""
    values = {
        "chain_id": cursor.chain_id,
        "name": cursor.name,
        "next_block": tip.number + 1,
        "tip_hash": tip.hash,
        "tip_at": datetime.fromtimestamp(tip.timestamp, UTC),
    }
    session.execute(LEAP, values)


def restart(session: Session, chain_id: int, names: Sequence[str]) -> None:
    """Let these cursors read everything again; the rows stay. Only under the chain's lock."""
    session.execute(RESTART, {"chain_id": chain_id, "names": list(names)})


def begin_at(session: Session, cursor: Cursor, start_block: int) -> None:
    """Say that everything from `start_block` to the cursor is in the tables. Only under the chain's lock."""
    session.execute(BEGIN_AT, {"chain_id": cursor.chain_id, "name": cursor.name, "start_block": start_block})


def highest_final(session: Session, chain_id: int) -> int | None:
    """The highest block that any set of the chain has treated as final."""
    highest: int | None = session.execute(HIGHEST_FINAL, {"chain_id": chain_id}).scalar_one()
    return highest


def halt(session: Session, chain_id: int, reason: str) -> None:
    """Stop all sets of the chain until `resume`."""
    session.execute(HALT, {"chain_id": chain_id, "reason": reason})


def resume(session: Session, chain_id: int) -> None:
    """Let the chain's sets go on. What they called final is forgotten: the next look at the node says it anew, and a
    fork below the old one is rewound like any other."""
    session.execute(RESUME, {"chain_id": chain_id})


def _cursor(row: Row[Any]) -> Cursor:
    values = row._asdict()
    tip_hash = values.pop("tip_hash")
    return Cursor(**values, tip_hash=None if tip_hash is None else bytes(tip_hash))
