"""The demo's eyes on the tables: single questions while it waits, and one snapshot for the judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ, connection
from psycopg2.extras import RealDictCursor

PROTOCOL = "watchkeeper_perps"
Row = Mapping[str, Any]

CURSOR = """
    SELECT next_block - 1 AS block_number, tip_hash AS block_hash, start_block
    FROM chain_cursors WHERE name = %(protocol)s AND tip_hash IS NOT NULL
"""
MARKETS = "SELECT * FROM perps_markets WHERE protocol = %(protocol)s"
POSITIONS = "SELECT * FROM perps_positions WHERE protocol = %(protocol)s"
ORDERS = "SELECT * FROM perps_orders WHERE protocol = %(protocol)s"
LIQUIDATIONS = "SELECT * FROM perps_liquidations WHERE protocol = %(protocol)s"
SETTLEMENTS = """
    SELECT market_id, count(*) AS settlements FROM perps_funding_rates WHERE protocol = %(protocol)s GROUP BY market_id
"""


@dataclass(frozen=True)
class Snapshot:
    """Every row the judge compares, and the block that the indexer had reached: all of one moment."""

    block_number: int
    block_hash: str
    start_block: int
    markets: tuple[Row, ...]
    positions: tuple[Row, ...]
    orders: tuple[Row, ...]
    liquidations: tuple[Row, ...]
    settlements: Mapping[str, int]


class Database:
    """A connection for looking. Raises psycopg2's errors."""

    def __init__(self, url: str):
        self._url = url.replace("+psycopg2", "")
        self._session = psycopg2.connect(self._url)
        self._session.autocommit = True

    def rows(self, statement: str, **values: object) -> list[Row]:
        """The answer to one question."""
        return _rows(self._session, statement, values)

    def count(self, statement: str, **values: object) -> int:
        """The one number that `statement` selects."""
        (row,) = self.rows(statement, **values)
        return int(next(iter(row.values())) or 0)

    def close(self) -> None:
        """Give the connection back."""
        self._session.close()

    def find_range(self) -> tuple[int, int]:
        """The first block the indexer had to read and the last it has read; raises ValueError before the first."""
        cursor = self.rows(CURSOR, protocol=PROTOCOL)
        if not cursor:
            raise ValueError("the indexer has not read a block yet")
        return cursor[0]["start_block"], cursor[0]["block_number"]

    def find_snapshot(self) -> Snapshot | None:
        """One moment of the tables and the indexer's cursor; None before it has read its first block."""
        with _one_moment(self._url) as session:
            cursor = _rows(session, CURSOR, {"protocol": PROTOCOL})
            if not cursor:
                return None
            markets, positions, orders, liquidations, settlements = (
                tuple(_rows(session, statement, {"protocol": PROTOCOL}))
                for statement in (MARKETS, POSITIONS, ORDERS, LIQUIDATIONS, SETTLEMENTS)
            )
        return Snapshot(
            block_number=cursor[0]["block_number"],
            block_hash=hexadecimal(cursor[0]["block_hash"]),
            start_block=cursor[0]["start_block"],
            markets=markets,
            positions=positions,
            orders=orders,
            liquidations=liquidations,
            settlements={row["market_id"]: row["settlements"] for row in settlements},
        )


@contextmanager
def _one_moment(url: str) -> Iterator[connection]:
    """A session in which every statement sees the same moment."""
    with closing(psycopg2.connect(url)) as session:
        session.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        yield session


def _rows(session: connection, statement: str, values: Mapping[str, object]) -> list[Row]:
    with session.cursor(cursor_factory=RealDictCursor) as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def hexadecimal(value: bytes | memoryview) -> str:
    """Bytes as 0x hex, the way a node writes them."""
    return "0x" + bytes(value).hex()
