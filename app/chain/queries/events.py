"""Statements on raw events. They come in by binary COPY to a temporary table, so that a row that is there already is
passed over and not an error: a range may be read twice.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import BytesIO

from sqlalchemy import text
from sqlalchemy.orm import Session

from app.chain.types.blocks import Log

COLUMNS = (
    "chain_id, block_number, block_hash, log_index, transaction_hash, transaction_index, address,"
    " topic0, topic1, topic2, topic3, data, mined_at, decode_error"
)

# Once a connection; emptied at each commit.
INCOMING = text("CREATE TEMPORARY TABLE IF NOT EXISTS chain_events_incoming (LIKE chain_events) ON COMMIT DELETE ROWS")

COPY = f"COPY chain_events_incoming ({COLUMNS}) FROM STDIN (FORMAT binary)"

TAKE_IN = text(
    f"INSERT INTO chain_events ({COLUMNS}) SELECT {COLUMNS} FROM chain_events_incoming ON CONFLICT DO NOTHING"  # noqa: S608
)

DROP = text("DELETE FROM chain_events WHERE chain_id = :chain_id AND block_number >= :from_block")

# By primary key: O(places).
REMOVE = text(
    """
    DELETE FROM chain_events e
    USING unnest(CAST(:hashes AS bytea[]), CAST(:log_indexes AS integer[])) AS place (block_hash, log_index)
    WHERE e.chain_id = :chain_id AND e.block_hash = place.block_hash AND e.log_index = place.log_index
    """
)

# Undoing much takes longer than any single statement is otherwise allowed.
NO_TIMEOUT = text("SET LOCAL statement_timeout = 0")

# Postgres' binary COPY: a header, rows of (field count, then length and bytes a field; length -1 is NULL), a trailer.
_BEGIN = b"PGCOPY\n\xff\r\n\x00" + struct.pack(">ii", 0, 0)
_END = struct.pack(">h", -1)
_FIELDS = 14
_NULL = struct.pack(">i", -1)
_EPOCH = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())  # Postgres counts microseconds from here
_MICRO = 1_000_000
_FIXED = ">h iq iq i32s ii i32s ii i20s"
# One layout for each number of topics; the length of `data` comes last.
_ROWS = tuple(struct.Struct(_FIXED + " i32s" * topics + " i" * (4 - topics) + " i") for topics in range(5))
_TOPICS_NULL = tuple((-1,) * (4 - topics) for topics in range(5))
_TIME = struct.Struct(">iq")


def insert_events(
    session: Session, chain_id: int, logs: Sequence[Log], timestamps: Mapping[int, int], errors: Mapping[int, str]
) -> int:
    """Write `logs`; returns how many were not there before.

    `timestamps` by block number, in seconds; `errors` by the log's place in `logs`, for those that do not fit
    their ABI.
    """
    if not logs:
        return 0
    session.execute(INCOMING)
    stream = BytesIO(b"".join([_BEGIN, *_packed(chain_id, logs, timestamps, errors), _END]))
    connection = session.connection().connection.driver_connection
    if connection is None:
        raise RuntimeError("the session has no connection")
    with connection.cursor() as cursor:
        cursor.copy_expert(COPY, stream)
    return session.execute(TAKE_IN).rowcount  # type: ignore[attr-defined, no-any-return]  # a CursorResult, as for every INSERT


def drop_events(session: Session, chain_id: int, from_block: int) -> None:
    """Delete the events of the blocks from `from_block` on."""
    session.execute(NO_TIMEOUT)
    session.execute(DROP, {"chain_id": chain_id, "from_block": from_block})


def remove_events(session: Session, chain_id: int, logs: Sequence[Log]) -> None:
    """Delete the events at these logs' places."""
    values = {
        "chain_id": chain_id,
        "hashes": [log.block_hash for log in logs],
        "log_indexes": [log.log_index for log in logs],
    }
    session.execute(REMOVE, values)


def _packed(
    chain_id: int, logs: Sequence[Log], timestamps: Mapping[int, int], errors: Mapping[int, str]
) -> Iterator[bytes]:
    for place, log in enumerate(logs):
        topics = [part for topic in log.topics for part in (32, topic)]
        count = len(log.topics)
        yield _ROWS[count].pack(
            _FIELDS,
            8,
            chain_id,
            8,
            log.block_number,
            32,
            log.block_hash,
            4,
            log.log_index,
            32,
            log.transaction_hash,
            4,
            log.transaction_index,
            20,
            log.address,
            *topics,
            *_TOPICS_NULL[count],
            len(log.data),
        )
        yield log.data
        yield _TIME.pack(8, (timestamps[log.block_number] - _EPOCH) * _MICRO)
        yield _text(errors[place]) if place in errors else _NULL


def _text(value: str) -> bytes:
    raw = value.replace("\x00", "").encode()
    return struct.pack(">i", len(raw)) + raw
