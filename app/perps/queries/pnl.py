"""Statements on PnL entries."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from app.perps.models import PerpsPnlEntry
from app.perps.types.positions import Place, PnlEntry

Account = bytes
Start = tuple[int, int]  # block number and log index

REMOVE = text(
    """
    DELETE FROM perps_pnl_entries WHERE protocol = :protocol AND position_key = ANY(:keys)
    RETURNING user_address, block_number, log_index
    """
)

# Of accounts' own events: O(events undone).
DROP = text(
    """
    DELETE FROM perps_pnl_entries
    WHERE protocol = :protocol AND block_number >= :from_block AND position_key IS NULL
    RETURNING user_address, block_number, log_index
    """
)

FORGET = text(
    """
    DELETE FROM perps_pnl_entries e
    USING unnest(CAST(:blocks AS bigint[]), CAST(:indexes AS integer[])) AS gone (block_number, log_index)
    WHERE e.protocol = :protocol AND e.block_number = gone.block_number AND e.log_index = gone.log_index
      AND e.position_key IS NULL
    RETURNING e.user_address, e.block_number, e.log_index
    """
)

# What an account has come to, from the first of its entries that is new or gone: O(its entries from there on), which in
# the chain's order are the new ones alone. Under cross margin its own events say what it has won, not its positions'.
RUN = text(
    """
    UPDATE perps_pnl_entries e SET account_pnl_wad = r.pnl, account_transfers_wad = r.transfers
    FROM (
        SELECT n.protocol, n.block_number, n.log_index,
               coalesce(b.account_pnl_wad, 0)
               + coalesce(sum(n.realized_pnl_wad - n.funding_paid_wad - n.fee_wad + n.covered_wad)
                          FILTER (WHERE n.position_key IS NULL OR NOT :cross) OVER later, 0) AS pnl,
               coalesce(b.account_transfers_wad, 0) + sum(n.transfer_wad) OVER later AS transfers
        FROM unnest(CAST(:accounts AS bytea[]), CAST(:blocks AS bigint[]), CAST(:indexes AS integer[]))
             AS t (account, block_number, log_index)
        LEFT JOIN LATERAL (
            SELECT * FROM perps_pnl_entries
            WHERE protocol = :protocol AND user_address = t.account
              AND (block_number, log_index) < (t.block_number, t.log_index)
            ORDER BY block_number DESC, log_index DESC
            LIMIT 1
        ) b ON true
        JOIN perps_pnl_entries n ON n.protocol = :protocol AND n.user_address = t.account
            AND (n.block_number, n.log_index) >= (t.block_number, t.log_index)
        WINDOW later AS (PARTITION BY n.user_address ORDER BY n.block_number, n.log_index)
    ) r
    WHERE e.protocol = r.protocol AND e.block_number = r.block_number AND e.log_index = r.log_index
      AND (e.account_pnl_wad, e.account_transfers_wad) IS DISTINCT FROM (r.pnl, r.transfers)
    """
)


NEWEST = text(
    """
    SELECT * FROM perps_pnl_entries WHERE protocol = :protocol AND user_address = :account
    ORDER BY block_number DESC, log_index DESC
    LIMIT 1
    """
)

# By market and time: O(entries since).
SINCE = text(
    """
    SELECT e.market_id, sum(e.long_moved_wad) AS longs, sum(e.short_moved_wad) AS shorts,
           array_agg(DISTINCT e.position_key) AS keys
    FROM unnest(CAST(:market_ids AS text[]), CAST(:times AS timestamptz[])) AS m (market_id, after)
    JOIN perps_pnl_entries e ON e.protocol = :protocol AND e.market_id = m.market_id AND e.at > m.after
    GROUP BY e.market_id
    """
)


class Since(NamedTuple):
    """What has happened in a market since a moment: open interest moved, and the positions it happened to."""

    longs_wad: int
    shorts_wad: int
    keys: frozenset[str]


NOTHING_SINCE = Since(0, 0, frozenset())


class EntryRow(NamedTuple):
    """An entry, its protocol, and what its owner's account there has come to with it."""

    protocol: str
    entry: PnlEntry
    account_pnl_wad: int
    account_transfers_wad: int


def add(session: Session, protocol: str, entries: Sequence[PnlEntry]) -> None:
    """Insert entries; one that is there already stays. What accounts have come to is for `run` to say."""
    if entries:
        adding = insert(PerpsPnlEntry).on_conflict_do_nothing().returning(PerpsPnlEntry.log_index)
        session.execute(adding, [_values(protocol, one) for one in entries])


def remove_of(session: Session, protocol: str, keys: Collection[str]) -> list[tuple[Account, Start]]:
    """Delete the entries of these positions, which are being folded again; returns whose they were, and where."""
    if not keys:
        return []
    rows = session.execute(REMOVE, {"protocol": protocol, "keys": list(keys)})
    return [(bytes(row.user_address), (row.block_number, row.log_index)) for row in rows]


def drop_accounts(session: Session, protocol: str, from_block: int) -> list[tuple[Account, Start]]:
    """Delete the accounts' own entries of `from_block` and above; returns whose they were, and where."""
    rows = session.execute(DROP, {"protocol": protocol, "from_block": from_block})
    return [(bytes(row.user_address), (row.block_number, row.log_index)) for row in rows]


def forget_accounts(session: Session, protocol: str, places: Sequence[Start]) -> list[tuple[Account, Start]]:
    """Delete the accounts' own entries of these events; returns whose they were, and where."""
    values = {
        "protocol": protocol,
        "blocks": [block for block, _ in places],
        "indexes": [index for _, index in places],
    }
    rows = session.execute(FORGET, values)
    return [(bytes(row.user_address), (row.block_number, row.log_index)) for row in rows]


def newest_of(session: Session, protocol: str, account: Account) -> EntryRow | None:
    """The account's newest entry, which says what it has come to; None when it has none."""
    row = session.execute(NEWEST, {"protocol": protocol, "account": account}).one_or_none()
    return None if row is None else as_entry(row)


def run(session: Session, protocol: str, touched: Sequence[tuple[Account, Start]], *, cross: bool) -> None:
    """Add up the accounts again from the first of these places on."""
    first: dict[Account, Start] = {}
    for account, start in touched:
        first[account] = min(start, first.get(account, start))
    if first:
        values = {
            "protocol": protocol,
            "cross": cross,
            "accounts": list(first),
            "blocks": [block for block, _ in first.values()],
            "indexes": [index for _, index in first.values()],
        }
        session.execute(RUN, values)


def since(session: Session, protocol: str, moments: Mapping[str, datetime]) -> dict[str, Since]:
    """By market, what happened after its moment; a market where nothing did is left out."""
    if not moments:
        return {}
    values = {"protocol": protocol, "market_ids": list(moments), "times": list(moments.values())}
    return {
        row.market_id: Since(int(row.longs), int(row.shorts), frozenset(row.keys))
        for row in session.execute(SINCE, values)
    }


def as_entry(row: Row[Any]) -> EntryRow:
    """A row as a value."""
    entry = PnlEntry(
        key=row.position_key,
        market_id=row.market_id,
        owner=bytes(row.user_address),
        place=Place(row.block_number, row.log_index, bytes(row.block_hash), bytes(row.transaction_hash), row.at),
        realized_pnl_wad=int(row.realized_pnl_wad),
        funding_paid_wad=int(row.funding_paid_wad),
        fee_wad=int(row.fee_wad),
        transfer_wad=int(row.transfer_wad),
        covered_wad=int(row.covered_wad),
        long_moved_wad=int(row.long_moved_wad),
        short_moved_wad=int(row.short_moved_wad),
        position_pnl_wad=int(row.position_pnl_wad),
        position_transfers_wad=int(row.position_transfers_wad),
    )
    return EntryRow(row.protocol, entry, int(row.account_pnl_wad), int(row.account_transfers_wad))


def _values(protocol: str, entry: PnlEntry) -> dict[str, Any]:
    return {
        "protocol": protocol,
        "block_number": entry.place.block_number,
        "log_index": entry.place.log_index,
        "position_key": entry.key,
        "market_id": entry.market_id,
        "user_address": entry.owner,
        "realized_pnl_wad": entry.realized_pnl_wad,
        "funding_paid_wad": entry.funding_paid_wad,
        "fee_wad": entry.fee_wad,
        "transfer_wad": entry.transfer_wad,
        "covered_wad": entry.covered_wad,
        "long_moved_wad": entry.long_moved_wad,
        "short_moved_wad": entry.short_moved_wad,
        "position_pnl_wad": entry.position_pnl_wad,
        "position_transfers_wad": entry.position_transfers_wad,
        "account_pnl_wad": 0,
        "account_transfers_wad": 0,
        "at": entry.place.mined_at,
        "block_hash": entry.place.block_hash,
        "transaction_hash": entry.place.transaction_hash,
    }
