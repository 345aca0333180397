"""The chain's tables: `events` (events, headers, cursors, alarms), `transactions` (intents, attempts, signers)."""

from app.chain.models.events import ChainAlarm, ChainCursor, ChainEvent, ChainHeader
from app.chain.models.transactions import ChainAttempt, ChainIntent, ChainSigner

__all__ = ["ChainAlarm", "ChainAttempt", "ChainCursor", "ChainEvent", "ChainHeader", "ChainIntent", "ChainSigner"]
