"""The chain: JSON-RPC, raw events, the indexer with its reorgs, and the transaction sender.

Tables: chain_events, chain_children, chain_headers, chain_cursors, chain_backfills, chain_alarms, chain_providers,
chain_range_sizes, chain_audits, chain_intents, chain_attempts, chain_signers. Kinds: chain.audit_ranges,
chain.backfill, chain.index_head, chain.plan_backfill, chain.watch_transactions. Depends on jobs (kinds and outcomes)
and core.
"""
