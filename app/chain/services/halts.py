"""Stopping a signer: the row that stops it, and the alarm that wakes somebody, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from app.chain.queries import alarms, signers
from app.chain.services.run import Run

log = logging.getLogger(__name__)


def halt(run: Run, reason: str, detail: Mapping[str, Any]) -> None:
    """Nothing more is signed or sent by this signer until an operator resumes it. Receipts are still watched."""
    chain_id, address = run.key
    signers.halt(run.session, chain_id, address, reason, run.now)
    alarms.raise_alarm(
        run.session, chain_id, "signer_halted", address.hex(), dict(detail) | {"reason": reason}, run.now
    )
    log.error("signer halted", extra={"chain_id": chain_id, "signer": address.hex(), "reason": reason})


def open_breaker(run: Run, reason: str) -> None:
    """No new nonces until an operator resets the breaker; what is live is still seen to its end."""
    chain_id, address = run.key
    signers.open_breaker(run.session, chain_id, address, reason, run.now)
    alarms.raise_alarm(run.session, chain_id, "breaker_open", address.hex(), {"reason": reason}, run.now)
    log.error("breaker opened", extra={"chain_id": chain_id, "signer": address.hex(), "reason": reason})
