"""The chain's tables: `transactions` (intents, attempts, signers), `alarms`."""

from app.chain.models.alarms import ChainAlarm
from app.chain.models.transactions import ChainAttempt, ChainIntent, ChainSigner

__all__ = ["ChainAlarm", "ChainAttempt", "ChainIntent", "ChainSigner"]
