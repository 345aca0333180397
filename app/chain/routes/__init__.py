"""The chain over HTTP: what is indexed, what was sent, who signs, and what an operator must look at."""

from __future__ import annotations

from app.chain.routes import indexing, signers, transactions

BLUEPRINTS = (indexing.blueprint, transactions.blueprint, signers.blueprint)
