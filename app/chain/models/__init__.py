"""The chain's tables: `events` (events, children, headers, cursors, back-fills, alarms), `providers` (providers, range
sizes, audits), `transactions` (intents, attempts, signers).
"""

from app.chain.models.events import ChainAlarm, ChainBackfill, ChainChild, ChainCursor, ChainEvent, ChainHeader
from app.chain.models.providers import ChainAudit, ChainProvider, ChainRangeSize
from app.chain.models.transactions import ChainAttempt, ChainIntent, ChainSigner

__all__ = [
    "ChainAlarm",
    "ChainAttempt",
    "ChainAudit",
    "ChainBackfill",
    "ChainChild",
    "ChainCursor",
    "ChainEvent",
    "ChainHeader",
    "ChainIntent",
    "ChainProvider",
    "ChainRangeSize",
    "ChainSigner",
]
