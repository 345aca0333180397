"""The chain over HTTP: what is indexed, its events, what was sent, who signs, and what an operator must look at."""

from __future__ import annotations

from app.chain.routes import events, indexing, signers, transactions

BLUEPRINTS = (indexing.blueprint, events.blueprint, transactions.blueprint, signers.blueprint)
