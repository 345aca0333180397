"""Perpetuals: markets, positions, funding, health, liquidation and conditional orders of any contract that a protocol
file describes.

Tables: perps_markets, perps_positions, perps_orders, perps_folded_events, perps_funding_rates, perps_liquidations,
perps_pnl_entries, perps_funding_slots, perps_keeper_backoffs, perps_keeper_actions. Kinds: perps.settle_funding,
perps.check_health, perps.scan_liquidations, perps.liquidate, perps.execute_orders. Depends on oracle (prices and update
data), chain (events and transactions), jobs and core.
"""
