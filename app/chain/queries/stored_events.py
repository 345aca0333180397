"""Raw events read back by their places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.types.blocks import Log

# By primary key, so O(places); the order is the chain's. Rows that do not fit their ABI stay out.
AT = text(
    """
    SELECT e.block_number, e.block_hash, e.log_index, e.transaction_hash, e.transaction_index, e.address,
           e.topic0, e.topic1, e.topic2, e.topic3, e.data, e.mined_at
    FROM unnest(CAST(:hashes AS bytea[]), CAST(:log_indexes AS integer[])) AS place (block_hash, log_index)
    JOIN chain_events e
      ON e.chain_id = :chain_id AND e.block_hash = place.block_hash AND e.log_index = place.log_index
    WHERE e.decode_error IS NULL
    ORDER BY e.block_number, e.log_index
    """
)


def logs_at(session: Session, chain_id: int, places: Iterable[tuple[bytes, int]]) -> Sequence[tuple[Log, datetime]]:
    """The logs that stand at these (block hash, log index), with when they were mined."""
    asked = list(places)
    values = {
        "chain_id": chain_id,
        "hashes": [block_hash for block_hash, _ in asked],
        "log_indexes": [log_index for _, log_index in asked],
    }
    found: list[tuple[Log, datetime]] = []
    for row in session.execute(AT, values):
        topics = tuple(bytes(topic) for topic in (row.topic0, row.topic1, row.topic2, row.topic3) if topic is not None)
        log = Log(
            block_number=row.block_number,
            block_hash=bytes(row.block_hash),
            log_index=row.log_index,
            transaction_hash=bytes(row.transaction_hash),
            transaction_index=row.transaction_index,
            address=bytes(row.address),
            topics=topics,
            data=bytes(row.data),
        )
        found.append((log, row.mined_at))
    return found
