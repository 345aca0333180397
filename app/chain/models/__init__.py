"""The chain's tables: `transactions` (intents, attempts, signers)."""

from app.chain.models.transactions import ChainAttempt, ChainIntent, ChainSigner

__all__ = ["ChainAttempt", "ChainIntent", "ChainSigner"]
