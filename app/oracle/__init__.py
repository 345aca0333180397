"""Prices: the only place where Watchkeeper learns and gives out what something costs.

Tables: oracle_feeds, oracle_prices (partitioned by month). Kinds: oracle.refresh_prices. Depends on jobs (its menu's
types) and core.
"""
