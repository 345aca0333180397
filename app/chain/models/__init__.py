"""The chain's tables: `events` (events, children, headers, cursors, alarms), `providers` (providers, range sizes,
audits), `transactions` (intents, attempts, signers).
"""

from app.chain.models.events import ChainAlarm, ChainChild, ChainCursor, ChainEvent, ChainHeader
from app.chain.models.providers import ChainAudit, ChainProvider, ChainRangeSize
from app.chain.models.transactions import ChainAttempt, ChainIntent, ChainSigner

__all__ = [
    "ChainAlarm",
    "ChainAttempt",
    "ChainAudit",
    "ChainChild",
    "ChainCursor",
    "ChainEvent",
    "ChainHeader",
    "ChainIntent",
    "ChainProvider",
    "ChainRangeSize",
    "ChainSigner",
]
