"""Prices: the only place where Watchkeeper learns and gives out what something costs.

Tables: oracle_feeds, oracle_prices (partitioned by month). Depends on core.
"""
