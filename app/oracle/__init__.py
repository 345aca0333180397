"""Prices: the only place where Watchkeeper learns and gives out what something costs.

Tables: oracle_feeds, oracle_prices and oracle_candles (by month), oracle_quotes, oracle_aggregates (by day),
oracle_sequencers. Kinds: oracle.refresh_prices, oracle.aggregate_prices. Depends on chain (its calls), jobs (its menu's
types) and core.
"""
