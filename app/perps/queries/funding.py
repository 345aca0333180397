"""Statements on settled funding."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.perps.models import PerpsFundingRate
from app.perps.types.changes import FundingEntry, Indexes
from app.perps.types.positions import Place, Position

DROP = text(
    """
    DELETE FROM perps_funding_rates WHERE protocol = :protocol AND block_number >= :from_block
    RETURNING market_id, settled_at
    """
)

# One index read a market and moment. A settlement counts for what comes after its slot, not in it.
INDEXES = text(
    """
    SELECT m.market_id, m.at, f.long_index_wad, f.short_index_wad
    FROM unnest(CAST(:market_ids AS text[]), CAST(:times AS timestamptz[])) AS m (market_id, at)
    CROSS JOIN LATERAL (
        SELECT long_index_wad, short_index_wad FROM perps_funding_rates
        WHERE protocol = :protocol AND market_id = m.market_id AND settled_at < m.at
        ORDER BY settled_at DESC, block_number DESC, log_index DESC
        LIMIT 1
    ) f
    """
)

# By primary key: O(places).
FORGET = text(
    """
    DELETE FROM perps_funding_rates f
    USING unnest(CAST(:block_numbers AS bigint[]), CAST(:log_indexes AS integer[])) AS place (block_number, log_index)
    WHERE f.protocol = :protocol AND f.block_number = place.block_number AND f.log_index = place.log_index
    RETURNING f.*
    """
)

# By a market's index, whose time is not later for an earlier block: O(its settlements since).
UNSETTLE = text(
    """
    DELETE FROM perps_funding_rates
    WHERE protocol = :protocol AND market_id = :market_id AND settled_at >= :settled_at
      AND (block_number, log_index) > (:block_number, :log_index)
    RETURNING block_hash, log_index
    """
)

# One index read a market, from its newest row.
NEWEST = text(
    """
    SELECT f.*
    FROM unnest(CAST(:market_ids AS text[])) AS m (market_id)
    CROSS JOIN LATERAL (
        SELECT * FROM perps_funding_rates
        WHERE protocol = :protocol AND market_id = m.market_id
        ORDER BY settled_at DESC, block_number DESC, log_index DESC
        LIMIT 1
    ) f
    """
)


# By block and place: what a position settled with its last event has counted already.
SINCE = text(
    """
    SELECT p.key, coalesce(n.long_index_wad - b.long_index_wad, 0) AS longs,
           coalesce(n.short_index_wad - b.short_index_wad, 0) AS shorts
    FROM unnest(CAST(:keys AS text[]), CAST(:market_ids AS text[]), CAST(:blocks AS bigint[]),
                CAST(:indexes AS integer[])) AS p (key, market_id, block_number, log_index)
    LEFT JOIN LATERAL (
        SELECT * FROM perps_funding_rates WHERE protocol = :protocol AND market_id = p.market_id
        ORDER BY settled_at DESC, block_number DESC, log_index DESC LIMIT 1
    ) n ON true
    LEFT JOIN LATERAL (
        SELECT * FROM perps_funding_rates WHERE protocol = :protocol AND market_id = p.market_id
          AND (block_number, log_index) < (p.block_number, p.log_index)
        ORDER BY settled_at DESC, block_number DESC, log_index DESC LIMIT 1
    ) b ON true
    """
)

# Settlements of our own and their markets moved on, in one statement: neither can be without the other. A slot that is
# settled already fails. O(markets).
SETTLE = text(
    """
    WITH settled AS (
        INSERT INTO perps_funding_rates (protocol, market_id, settled_at, block_number, log_index, funding_rate_wad,
            long_index_wad, short_index_wad, long_oi_wad, short_oi_wad, price_wad, elapsed_seconds, block_hash)
        SELECT :protocol, market_id, :settled_at, :block_number, :log_index, rate, long_index, short_index, longs,
               shorts, price, elapsed, :block_hash
        FROM unnest(CAST(:market_ids AS text[]), CAST(:rates AS numeric[]), CAST(:long_indexes AS numeric[]),
                    CAST(:short_indexes AS numeric[]), CAST(:longs AS numeric[]), CAST(:shorts AS numeric[]),
                    CAST(:prices AS numeric[]), CAST(:elapsed AS bigint[]))
             AS s (market_id, rate, long_index, short_index, longs, shorts, price, elapsed)
        RETURNING market_id, settled_at, long_index_wad, short_index_wad
    )
    UPDATE perps_markets m
    SET long_funding_index_wad = s.long_index_wad, short_funding_index_wad = s.short_index_wad,
        last_funding_update = s.settled_at
    FROM settled s
    WHERE m.protocol = :protocol AND m.market_id = s.market_id
    """
)


class FundingRow(NamedTuple):
    """A settlement and the protocol it is of."""

    protocol: str
    entry: FundingEntry


def add(session: Session, protocol: str, entries: Sequence[FundingEntry]) -> None:
    """Insert settlements; one that is there already stays."""
    if entries:
        # RETURNING makes the driver send many rows a statement.
        adding = insert(PerpsFundingRate).on_conflict_do_nothing().returning(PerpsFundingRate.log_index)
        session.execute(adding, [_values(protocol, one) for one in entries])


def growth_since(session: Session, protocol: str, positions: Sequence[Position]) -> dict[str, Indexes]:
    """By position, how much its market's indexes have grown since its last event."""
    values = {
        "protocol": protocol,
        "keys": [one.key for one in positions],
        "market_ids": [one.market_id for one in positions],
        "blocks": [one.last.block_number for one in positions],
        "indexes": [one.last.log_index for one in positions],
    }
    return {row.key: Indexes(int(row.longs), int(row.shorts)) for row in session.execute(SINCE, values)}


def settle(session: Session, protocol: str, entries: Sequence[FundingEntry]) -> None:
    """Record settlements of our own, all of one slot, and move their markets on to them."""
    place = entries[0].place
    values = {
        "protocol": protocol,
        "settled_at": place.mined_at,
        "block_number": place.block_number,
        "log_index": place.log_index,
        "block_hash": place.block_hash,
        "market_ids": [one.market_id for one in entries],
        "rates": [one.rate_wad for one in entries],
        "long_indexes": [one.long_index_wad for one in entries],
        "short_indexes": [one.short_index_wad for one in entries],
        "longs": [one.long_open_interest_wad for one in entries],
        "shorts": [one.short_open_interest_wad for one in entries],
        "prices": [one.price_wad for one in entries],
        "elapsed": [one.elapsed_seconds for one in entries],
    }
    session.execute(SETTLE, values)


def drop(session: Session, protocol: str, from_block: int) -> dict[str, datetime]:
    """Delete the settlements of `from_block` and above; returns their markets, each with the earliest that is gone."""
    dropped: dict[str, datetime] = {}
    for row in session.execute(DROP, {"protocol": protocol, "from_block": from_block}):
        dropped[row.market_id] = min(row.settled_at, dropped.get(row.market_id, row.settled_at))
    return dropped


def indexes_at(
    session: Session, protocol: str, moments: Collection[tuple[str, datetime]]
) -> dict[tuple[str, datetime], Indexes]:
    """The indexes of a market at a moment, by what was settled before; those never settled are left out."""
    if not moments:
        return {}
    values = {
        "protocol": protocol,
        "market_ids": [market_id for market_id, _ in moments],
        "times": [at for _, at in moments],
    }
    return {
        (row.market_id, row.at): Indexes(int(row.long_index_wad), int(row.short_index_wad))
        for row in session.execute(INDEXES, values)
    }


def forget(session: Session, protocol: str, places: Sequence[tuple[int, int]]) -> list[FundingEntry]:
    """Delete the settlements at these (block number, log index); returns them."""
    values = {
        "protocol": protocol,
        "block_numbers": [block_number for block_number, _ in places],
        "log_indexes": [log_index for _, log_index in places],
    }
    return [as_row(row).entry for row in session.execute(FORGET, values)]


def unsettle(session: Session, protocol: str, market_id: str, after: Place) -> list[tuple[bytes, int]]:
    """Delete the market's settlements after this place; returns their (block hash, log index)."""
    values = {
        "protocol": protocol,
        "market_id": market_id,
        "settled_at": after.mined_at,
        "block_number": after.block_number,
        "log_index": after.log_index,
    }
    return [(bytes(row.block_hash), row.log_index) for row in session.execute(UNSETTLE, values)]


def newest(session: Session, protocol: str, market_ids: Collection[str]) -> dict[str, FundingEntry]:
    """The newest settlement of each market; one that has none is left out."""
    rows = session.execute(NEWEST, {"protocol": protocol, "market_ids": list(market_ids)})
    return {row.market_id: as_row(row).entry for row in rows}


def as_row(row: Row[Any]) -> FundingRow:
    """A row as a value."""
    entry = FundingEntry(
        market_id=row.market_id,
        place=Place(
            row.block_number, row.log_index, bytes(row.block_hash), bytes(row.transaction_hash or b""), row.settled_at
        ),
        rate_wad=int(row.funding_rate_wad),
        long_index_wad=int(row.long_index_wad),
        short_index_wad=int(row.short_index_wad),
        long_open_interest_wad=None if row.long_oi_wad is None else int(row.long_oi_wad),
        short_open_interest_wad=None if row.short_oi_wad is None else int(row.short_oi_wad),
        price_wad=int(row.price_wad),
        elapsed_seconds=row.elapsed_seconds,
        settled_at=row.settled_at,
    )
    return FundingRow(row.protocol, entry)


def _values(protocol: str, entry: FundingEntry) -> dict[str, Any]:
    return {
        "protocol": protocol,
        "block_number": entry.place.block_number,
        "log_index": entry.place.log_index,
        "market_id": entry.market_id,
        "funding_rate_wad": entry.rate_wad,
        "long_index_wad": entry.long_index_wad,
        "short_index_wad": entry.short_index_wad,
        "long_oi_wad": entry.long_open_interest_wad,
        "short_oi_wad": entry.short_open_interest_wad,
        "price_wad": entry.price_wad,
        "elapsed_seconds": entry.elapsed_seconds,
        "settled_at": entry.settled_at,
        "block_hash": entry.place.block_hash,
        "transaction_hash": entry.place.transaction_hash or None,
    }
