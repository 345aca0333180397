"""Perpetuals: markets, positions, funding, health and liquidation of any contract that a protocol file describes.

Tables: perps_markets, perps_positions, perps_folded_events, perps_funding_rates, perps_liquidations, perps_pnl_entries,
perps_funding_slots, perps_keeper_backoffs. Kinds: perps.settle_funding, perps.check_health, perps.scan_liquidations,
perps.liquidate. Depends on oracle (prices and update data), chain (events and transactions), jobs and core.
"""
