"""Which events an entity is folded from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from app.perps.types.positions import Place


class Entity(StrEnum):
    """What is folded from events of its own."""

    POSITION = "position"
    MARKET = "market"
    ORDER = "order"


# What is there already stays, and does not come back: so an event is folded in once, however often it is handed over.
ADD = text(
    """
    INSERT INTO perps_folded_events (protocol, entity, key, block_number, log_index, block_hash)
    SELECT :protocol, :entity, key, block_number, log_index, block_hash
    FROM unnest(CAST(:keys AS text[]), CAST(:block_numbers AS bigint[]), CAST(:log_indexes AS integer[]),
                CAST(:block_hashes AS bytea[])) AS new (key, block_number, log_index, block_hash)
    ON CONFLICT DO NOTHING
    RETURNING key, block_number, log_index
    """
)

# By primary key: O(events of the keys).
OF = text(
    """
    SELECT key, block_hash, log_index FROM perps_folded_events
    WHERE protocol = :protocol AND entity = :entity AND key = ANY(:keys)
    ORDER BY key, block_number, log_index
    """
)

# By block: O(events undone).
DROP = text(
    """
    DELETE FROM perps_folded_events WHERE protocol = :protocol AND block_number >= :from_block
    RETURNING entity, key
    """
)

# By block and the rest of the primary key: O(events of those blocks).
FORGET = text(
    """
    DELETE FROM perps_folded_events f
    USING unnest(CAST(:block_numbers AS bigint[]), CAST(:log_indexes AS integer[])) AS place (block_number, log_index)
    WHERE f.protocol = :protocol AND f.block_number = place.block_number AND f.log_index = place.log_index
    RETURNING f.entity, f.key
    """
)


def add(
    session: Session, protocol: str, entity: Entity, events: Sequence[tuple[str, Place]]
) -> set[tuple[str, int, int]]:
    """Note that these events (key, place) are folded in; returns (key, block, log index) of those that are new."""
    if not events:
        return set()
    values = {
        "protocol": protocol,
        "entity": entity,
        "keys": [key for key, _ in events],
        "block_numbers": [place.block_number for _, place in events],
        "log_indexes": [place.log_index for _, place in events],
        "block_hashes": [place.block_hash for _, place in events],
    }
    return {(row.key, row.block_number, row.log_index) for row in session.execute(ADD, values)}


def places_of(
    session: Session, protocol: str, entity: Entity, keys: Collection[str]
) -> dict[str, list[tuple[bytes, int]]]:
    """(Block hash, log index) of the events of each key, in the chain's order; a key without any is left out."""
    found: dict[str, list[tuple[bytes, int]]] = {}
    for row in session.execute(OF, {"protocol": protocol, "entity": entity, "keys": list(keys)}):
        found.setdefault(row.key, []).append((bytes(row.block_hash), row.log_index))
    return found


def drop(session: Session, protocol: str, from_block: int) -> dict[Entity, set[str]]:
    """Forget the events of `from_block` and above; returns the keys they belonged to."""
    return _touched(session.execute(DROP, {"protocol": protocol, "from_block": from_block}))


def forget(session: Session, protocol: str, places: Sequence[tuple[int, int]]) -> dict[Entity, set[str]]:
    """Forget the events at these (block number, log index); returns the keys they belonged to."""
    values = {
        "protocol": protocol,
        "block_numbers": [block_number for block_number, _ in places],
        "log_indexes": [log_index for _, log_index in places],
    }
    return _touched(session.execute(FORGET, values))


def _touched(rows: Iterable[Row[Any]]) -> dict[Entity, set[str]]:
    touched: dict[Entity, set[str]] = {entity: set() for entity in Entity}
    for row in rows:
        touched[Entity(row.entity)].add(row.key)
    return touched
