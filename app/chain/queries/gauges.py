"""What /metrics tells of the indexer and the sender: O(contract sets + signers + live transactions)."""

from __future__ import annotations

from app.core.metrics import SqlGauge

GAUGES = (
    SqlGauge(
        "watchkeeper_indexer_lag_blocks",
        "Blocks between what is indexed and the head as last seen",
        "SELECT chain_id, name, head_block - next_block + 1 FROM chain_cursors"
        " WHERE head_block IS NOT NULL AND strpos(name, '@') = 0",
        ("chain_id", "contract_set"),
    ),
    SqlGauge(
        "watchkeeper_indexer_checked_seconds",
        "Time since the node was last asked",
        "SELECT chain_id, name, extract(epoch FROM now() - checked_at) FROM chain_cursors WHERE strpos(name, '@') = 0",
        ("chain_id", "contract_set"),
    ),
    SqlGauge(
        "watchkeeper_indexer_rewinds",
        "Reorgs that reached a contract set",
        "SELECT chain_id, name, rewinds FROM chain_cursors WHERE strpos(name, '@') = 0",
        ("chain_id", "contract_set"),
    ),
    SqlGauge(
        "watchkeeper_indexer_history_missing",
        "1 for a contract set whose history a back-fill still reads",
        "SELECT chain_id, contract_set, 1 FROM chain_backfills",
        ("chain_id", "contract_set"),
    ),
    SqlGauge(
        "watchkeeper_chain_provider_avoided",
        "1 while other providers are preferred to this one",
        "SELECT chain_id, provider, CASE WHEN retry_at > now() THEN 1 ELSE 0 END FROM chain_providers",
        ("chain_id", "provider"),
    ),
    SqlGauge(
        "watchkeeper_chain_alarms",
        "Open alarms by kind",
        "SELECT chain_id, kind, count(*) FROM chain_alarms WHERE resolved_at IS NULL GROUP BY chain_id, kind",
        ("chain_id", "kind"),
    ),
    SqlGauge(
        "watchkeeper_sender_live_transactions",
        "Transactions that have not ended, by status",
        "SELECT chain_id, status, count(*) FROM chain_intents WHERE finished_at IS NULL GROUP BY chain_id, status",
        ("chain_id", "status"),
    ),
    SqlGauge(
        "watchkeeper_sender_oldest_seconds",
        "Age of the oldest transaction that has not ended",
        "SELECT chain_id, extract(epoch FROM now() - min(created_at)) FROM chain_intents WHERE finished_at IS NULL"
        " GROUP BY chain_id",
        ("chain_id",),
    ),
    SqlGauge(
        "watchkeeper_sender_halted",
        "Signers that are halted until an operator resumes them",
        "SELECT chain_id, count(halted_at) FROM chain_signers GROUP BY chain_id",
        ("chain_id",),
    ),
    SqlGauge(
        "watchkeeper_sender_breakers_open",
        "Signers whose breaker is open until an operator resets it",
        "SELECT chain_id, count(breaker_opened_at) FROM chain_signers GROUP BY chain_id",
        ("chain_id",),
    ),
)
