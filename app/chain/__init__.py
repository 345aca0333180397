"""The chain: JSON-RPC, raw events, the indexer with its reorgs, and the transaction sender.

Tables: chain_events, chain_headers, chain_cursors, chain_alarms. Depends on jobs (kinds and outcomes) and core.
"""
