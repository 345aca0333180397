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
EXECUTED = """
    SELECT count(*) FROM perps_orders o
    JOIN chain_intents i ON i.transaction_hash = o.transaction_hash AND i.action = 'execute_order'
    WHERE o.protocol = %(protocol)s AND o.status = 'executed'
"""
SETTLED_MARKETS = """
    SELECT count(DISTINCT f.market_id) FROM perps_funding_rates f
    JOIN chain_intents i ON i.transaction_hash = f.transaction_hash AND i.action = 'settle_funding'
    WHERE f.protocol = %(protocol)s
"""
# A slot counts when the market's settlement on chain is at least as late, whoever had the chain settle it.
SLOTS = """
    SELECT coalesce(sum(least(slots, %(at_most)s)), 0) FROM (
        SELECT count(*) AS slots FROM perps_funding_slots s JOIN perps_markets m USING (protocol, market_id)
        WHERE protocol = %(protocol)s AND m.last_funding_update >= s.slot_at GROUP BY market_id
    ) AS by_market
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


def executed(database: Database) -> int:
    """Orders that the keeper executed."""
    return database.count(EXECUTED, protocol=PROTOCOL)


def settled_markets(database: Database) -> int:
    """Markets in which the keeper has settled funding."""
    return database.count(SETTLED_MARKETS, protocol=PROTOCOL)


def slots(database: Database, at_most: int) -> int:
    """Slots of the funding schedule that are settled, no more than `at_most` of a market counted."""
    return database.count(SLOTS, protocol=PROTOCOL, at_most=at_most)
