"""The chain's tables: `events` (events, headers, cursors, alarms)."""

from app.chain.models.events import ChainAlarm, ChainCursor, ChainEvent, ChainHeader

__all__ = ["ChainAlarm", "ChainCursor", "ChainEvent", "ChainHeader"]
