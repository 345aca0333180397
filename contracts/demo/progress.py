"""How far things are: what the demo asks the tables while it waits. What the keeper did, an intent of ours did."""

from __future__ import annotations

from contracts.demo.database import PROTOCOL, Database

POSITIONS = "SELECT count(*) FROM perps_positions WHERE protocol = %(protocol)s"
CLOSED = "SELECT count(*) FROM perps_positions WHERE protocol = %(protocol)s AND status = 'closed'"
PRICED_MARKETS = """
    SELECT count(*) FROM perps_markets m
    WHERE protocol = %(protocol)s
      AND EXISTS (SELECT FROM oracle_prices p WHERE p.feed = m.pyth_price_id)
"""
LIQUIDATED = """
    SELECT l.position_key FROM perps_liquidations l JOIN chain_intents i ON i.transaction_hash = l.transaction_hash
    WHERE l.protocol = %(protocol)s
"""
SETTLEMENTS = """
    SELECT count(*) FROM (
        SELECT row_number() OVER (PARTITION BY f.market_id ORDER BY f.block_number) AS number
        FROM perps_funding_rates f JOIN chain_intents i ON i.transaction_hash = f.transaction_hash
        WHERE f.protocol = %(protocol)s AND i.action <> 'liquidate'
    ) AS settled WHERE number <= %(at_most)s
"""


def positions(database: Database) -> int:
    """Positions the indexer knows."""
    return database.count(POSITIONS, protocol=PROTOCOL)


def closed(database: Database) -> int:
    """Positions that their owners closed."""
    return database.count(CLOSED, protocol=PROTOCOL)


def priced_markets(database: Database) -> int:
    """Markets whose feed has a recorded price."""
    return database.count(PRICED_MARKETS, protocol=PROTOCOL)


def liquidated(database: Database) -> set[str]:
    """The positions that the keeper liquidated."""
    return {row["position_key"] for row in database.rows(LIQUIDATED, protocol=PROTOCOL)}


def settlements(database: Database, at_most: int) -> int:
    """Settlements of funding that the keeper sent, no more than `at_most` of a market counted."""
    return database.count(SETTLEMENTS, protocol=PROTOCOL, at_most=at_most)
