"""Stored events for readers, in the chain's order or backwards. Every list walks an index, and a bounded part of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.chain.queries.stored_events import log_of
from app.chain.types.event_list import Span, StoredLog, Walk

MOST_WALKED = 500
"""Rows that one walk looks at: what an argument leaves out costs no more than this."""

# A page is walks down an index, in a small table too; whatever the statistics say, nothing is scanned or sorted but
# what the walks have found.
WALK_ONLY = text(
    "SELECT set_config(name, 'off', true) FROM (VALUES"
    " ('enable_seqscan'), ('enable_bitmapscan'), ('enable_sort'), ('enable_incremental_sort')) AS planner(name)"
)

SHOWN = (
    "block_number, block_hash, log_index, transaction_hash, transaction_index, address,"
    " topic0, topic1, topic2, topic3, data, mined_at"
)

# One walk for each contract and event: whole keys as bounds, so that no other index will do. Each stops after
# :most_walked rows; the row it stops at comes too, matching or not. O(walks * (:limit + what arguments leave out)).
BY_EVENT = """
    SELECT found.* FROM unnest(
        CAST(:addresses AS bytea[]), CAST(:topics0 AS bytea[]),
        CAST(:topics1 AS bytea[]), CAST(:topics2 AS bytea[]), CAST(:topics3 AS bytea[])
    ) AS walk (address, topic0, topic1, topic2, topic3)
    CROSS JOIN LATERAL (
        SELECT {shown}, matches, is_last FROM (
            SELECT {shown},
                   (walk.topic1 IS NULL OR walk.topic1 = walked.topic1)
                   AND (walk.topic2 IS NULL OR walk.topic2 = walked.topic2)
                   AND (walk.topic3 IS NULL OR walk.topic3 = walked.topic3) AS matches,
                   row_number() OVER () = :most_walked AS is_last
            FROM (
                SELECT {shown} FROM chain_events e
                WHERE (e.chain_id, e.address, e.topic0, e.block_number, e.log_index)
                      > (:chain_id, walk.address, walk.topic0, :low_block, :low_index)
                  AND (e.chain_id, e.address, e.topic0, e.block_number, e.log_index)
                      < (:chain_id, walk.address, walk.topic0, :high_block, :high_index)
                ORDER BY e.chain_id {way}, e.address {way}, e.topic0 {way}, e.block_number {way}, e.log_index {way}
                LIMIT :most_walked
            ) AS walked
        ) AS seen
        WHERE matches OR is_last LIMIT :limit
    ) AS found
    ORDER BY block_number {way}, log_index {way} LIMIT :limit
"""

# The whole chain's events by block, for what cannot be said as a few walks; the caller leaves out.
BY_BLOCK = """
    SELECT {shown}, true AS matches, row_number() OVER () = :most_walked AS is_last FROM (
        SELECT {shown} FROM chain_events e
        WHERE (e.chain_id, e.block_number, e.log_index) > (:chain_id, :low_block, :low_index)
          AND (e.chain_id, e.block_number, e.log_index) < (:chain_id, :high_block, :high_index)
        ORDER BY e.chain_id {way}, e.block_number {way}, e.log_index {way}
        LIMIT :most_walked
    ) AS walked
"""


def _both_ways(statement: str) -> dict[bool, Any]:
    """The statement by whether the newest come first."""
    return {newest: text(statement.format(shown=SHOWN, way="DESC" if newest else "ASC")) for newest in (True, False)}


_BY_EVENT, _BY_BLOCK = _both_ways(BY_EVENT), _both_ways(BY_BLOCK)


def walk_events(
    session: Session, chain_id: int, walks: Sequence[Walk], between: Span, *, limit: int
) -> list[StoredLog]:
    """The first `limit` events of these walks, ends of walks among them."""
    session.execute(WALK_ONLY)
    values = _bounds(chain_id, between) | {
        "addresses": [walk.address for walk in walks],
        "topics0": [walk.topic0 for walk in walks],
        "topics1": [walk.topics[0] for walk in walks],
        "topics2": [walk.topics[1] for walk in walks],
        "topics3": [walk.topics[2] for walk in walks],
        "limit": limit,
    }
    return [_stored(row) for row in session.execute(_BY_EVENT[between.newest_first], values)]


def walk_blocks(session: Session, chain_id: int, between: Span) -> list[StoredLog]:
    """The first MOST_WALKED events of the chain, whosever they are."""
    session.execute(WALK_ONLY)
    return [_stored(row) for row in session.execute(_BY_BLOCK[between.newest_first], _bounds(chain_id, between))]


def _bounds(chain_id: int, between: Span) -> dict[str, Any]:
    return {
        "chain_id": chain_id,
        "low_block": between.low[0],
        "low_index": between.low[1],
        "high_block": between.high[0],
        "high_index": between.high[1],
        "most_walked": MOST_WALKED,
    }


def _stored(row: Row[Any]) -> StoredLog:
    return StoredLog(log_of(row), row.mined_at, row.matches, row.is_last)
