"""The chain's tables: `events` (events, children, headers, cursors, alarms), `transactions` (intents and their own)."""

from app.chain.models.events import ChainAlarm, ChainChild, ChainCursor, ChainEvent, ChainHeader
from app.chain.models.transactions import ChainAttempt, ChainIntent, ChainSigner

__all__ = [
    "ChainAlarm",
    "ChainAttempt",
    "ChainChild",
    "ChainCursor",
    "ChainEvent",
    "ChainHeader",
    "ChainIntent",
    "ChainSigner",
]
