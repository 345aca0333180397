"""Raw events read back: by their places, or by blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.chain.types.blocks import ContractSet, Log

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


# By block, so O(rows in the range, of every contract set).
BETWEEN = text(
    """
    SELECT block_number, block_hash, log_index, transaction_hash, transaction_index, address, topic0, topic1, topic2,
           topic3, data
    FROM chain_events
    WHERE chain_id = :chain_id AND block_number BETWEEN :first AND :last
      AND address = ANY(CAST(:addresses AS bytea[]))
    ORDER BY block_number, log_index
    """
)


# By block, so O(rows), of every contract set: who reads them sorts them out, for a set may have any number of
# contracts, and anonymous events have no topic to choose by.
END = text(
    """
    SELECT block_number FROM chain_events WHERE chain_id = :chain_id AND block_number >= :first
    ORDER BY block_number, log_index LIMIT 1 OFFSET :rows - 1
    """
)

TO_FOLD = text(
    """
    SELECT block_number, block_hash, log_index, transaction_hash, transaction_index, address, topic0, topic1, topic2,
           topic3, data, mined_at
    FROM chain_events
    WHERE chain_id = :chain_id AND block_number BETWEEN :first AND :last AND decode_error IS NULL
    ORDER BY block_number, log_index
    """
)

# The same in the chain's order with when they were mined; rows that do not fit their ABI stay out.
TIMED = text(
    """
    SELECT block_number, block_hash, log_index, transaction_hash, transaction_index, address, topic0, topic1, topic2,
           topic3, data, mined_at
    FROM chain_events
    WHERE chain_id = :chain_id AND block_number <= :last AND decode_error IS NULL
      AND address = ANY(CAST(:addresses AS bytea[]))
    ORDER BY block_number, log_index
    """
)

# By primary key, so O(places).
REFUSE = text(
    """
    UPDATE chain_events SET decode_error = :reason
    WHERE chain_id = :chain_id AND block_hash = :block_hash AND log_index = :log_index
    """
)

# Blocks whose time is known: those with an event, of whatever contract, and the kept headers.
BLOCK_TIMES = text(
    """
    SELECT block_number, mined_at FROM chain_events WHERE chain_id = :chain_id AND block_number BETWEEN :first AND :last
    UNION
    SELECT number, mined_at FROM chain_headers WHERE chain_id = :chain_id AND number BETWEEN :first AND :last
    ORDER BY 1
    """
)
AT_ONCE = 1000


def timed_logs(session: Session, contracts: ContractSet, last: int) -> Iterator[tuple[Log, datetime]]:
    """The rows of `contracts` up to the block `last`, in the chain's order, read a thousand at a time."""
    values = {"chain_id": contracts.chain_id, "last": last, "addresses": contracts.addresses}
    for row in session.execute(TIMED, values, execution_options={"yield_per": AT_ONCE}):
        yield log_of(row), row.mined_at


def block_times(session: Session, chain_id: int, first: int, last: int) -> list[tuple[int, datetime]]:
    """The blocks from `first` to `last` whose time is known, in order."""
    found = session.execute(BLOCK_TIMES, {"chain_id": chain_id, "first": first, "last": last})
    return [(row.block_number, row.mined_at) for row in found]


def logs_at(session: Session, chain_id: int, places: Iterable[tuple[bytes, int]]) -> Sequence[tuple[Log, datetime]]:
    """The logs that stand at these (block hash, log index), with when they were mined."""
    asked = list(places)
    values = {
        "chain_id": chain_id,
        "hashes": [block_hash for block_hash, _ in asked],
        "log_indexes": [log_index for _, log_index in asked],
    }
    return [(log_of(row), row.mined_at) for row in session.execute(AT, values)]


def logs_between(session: Session, contracts: ContractSet, first: int, last: int) -> list[Log]:
    """The rows of the set's addresses in the blocks `first` to `last`, in the chain's order; also those that do not fit
    their ABI, and those that other sets asked for.
    """
    values = {
        "chain_id": contracts.chain_id,
        "first": first,
        "last": last,
        "addresses": contracts.addresses,
    }
    return [log_of(row) for row in session.execute(BETWEEN, values)]


def end_of_batch(session: Session, chain_id: int, first: int, rows: int) -> int | None:
    """The block in which the chain's first `rows` rows from block `first` on end; None for fewer of them. O(rows)."""
    found: int | None = session.scalar(END, {"chain_id": chain_id, "first": first, "rows": rows})
    return found


def logs_to_fold(session: Session, chain_id: int, first: int, last: int) -> Sequence[tuple[Log, datetime]]:
    """The logs in the blocks `first` to `last`, of every contract set, in the chain's order, with when they were mined;
    those that do not fit their ABI stay out.
    """
    values = {"chain_id": chain_id, "first": first, "last": last}
    return [(log_of(row), row.mined_at) for row in session.execute(TO_FOLD, values)]


def mark_refused(session: Session, chain_id: int, reasons: Mapping[tuple[bytes, int], str]) -> None:
    """Note of the rows at these (block hash, log index) why they cannot be folded in."""
    values = [
        {"chain_id": chain_id, "block_hash": block_hash, "log_index": log_index, "reason": reason}
        for (block_hash, log_index), reason in reasons.items()
    ]
    session.execute(REFUSE, values)


def log_of(row: Row[Any]) -> Log:
    """The log in a row of chain_events."""
    topics = tuple(bytes(topic) for topic in (row.topic0, row.topic1, row.topic2, row.topic3) if topic is not None)
    return Log(
        block_number=row.block_number,
        block_hash=bytes(row.block_hash),
        log_index=row.log_index,
        transaction_hash=bytes(row.transaction_hash),
        transaction_index=row.transaction_index,
        address=bytes(row.address),
        topics=topics,
        data=bytes(row.data),
    )
