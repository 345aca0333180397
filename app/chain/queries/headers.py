"""Statements on the kept headers: the chain as we believe it to be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.types.blocks import Header

INSERT = text(
    """
    INSERT INTO chain_headers (chain_id, number, hash, parent_hash, mined_at)
    SELECT :chain_id, n, h, p, t
    FROM unnest(CAST(:numbers AS bigint[]), CAST(:hashes AS bytea[]), CAST(:parents AS bytea[]),
                CAST(:times AS timestamptz[])) AS header (n, h, p, t)
    ON CONFLICT DO NOTHING
    """
)

BETWEEN = text("SELECT number, hash FROM chain_headers WHERE chain_id = :chain_id AND number BETWEEN :first AND :last")

NEWEST_FIRST = text("SELECT number, hash FROM chain_headers WHERE chain_id = :chain_id ORDER BY number DESC")

# The first block that any set began with stays for good: it tells a reset chain from a node that lags.
PRUNE = text(
    """
    DELETE FROM chain_headers
    WHERE chain_id = :chain_id
      AND number <= (SELECT max(number) FROM chain_headers WHERE chain_id = :chain_id) - :depth
      AND number <> (SELECT min(start_block) FROM chain_cursors WHERE chain_id = :chain_id)
    """
)

DROP = text("DELETE FROM chain_headers WHERE chain_id = :chain_id AND number >= :from_block")


def insert_headers(session: Session, chain_id: int, headers: Sequence[Header]) -> None:
    """Keep `headers`; those that are kept already stay as they are."""
    values = {
        "chain_id": chain_id,
        "numbers": [header.number for header in headers],
        "hashes": [header.hash for header in headers],
        "parents": [header.parent_hash for header in headers],
        "times": [datetime.fromtimestamp(header.timestamp, UTC) for header in headers],
    }
    session.execute(INSERT, values)


def hashes_between(session: Session, chain_id: int, first: int, last: int) -> dict[int, bytes]:
    """The kept hashes of the blocks `first` to `last`, by number."""
    rows = session.execute(BETWEEN, {"chain_id": chain_id, "first": first, "last": last})
    return {row.number: bytes(row.hash) for row in rows}


def hashes_newest_first(session: Session, chain_id: int) -> dict[int, bytes]:
    """Every kept hash, by number, from the highest down."""
    return {row.number: bytes(row.hash) for row in session.execute(NEWEST_FIRST, {"chain_id": chain_id})}


def prune_headers(session: Session, chain_id: int, depth: int) -> None:
    """Keep the newest `depth` headers, and the first of all."""
    session.execute(PRUNE, {"chain_id": chain_id, "depth": depth})


def drop_headers(session: Session, chain_id: int, from_block: int) -> None:
    """Forget the blocks from `from_block` on."""
    session.execute(DROP, {"chain_id": chain_id, "from_block": from_block})
