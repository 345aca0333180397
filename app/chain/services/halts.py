"""Stopping a signer, or seeing it stopped: the alarm that wakes somebody, in the transaction of what it is about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.chain.errors import InsufficientFunds
from app.chain.queries import alarms, signers
from app.chain.services.run import Run
from app.chain.types.indexing import Alarm
from app.core.errors import AppError
from app.core.logging import get_logger

SIGNER_HALTED = "signer_halted"
BREAKER_OPEN = "breaker_open"
TRANSACTION_LOST = "transaction_lost"
SIGNER_UNDERFUNDED = "signer_underfunded"
NO_CONTRACT_SET = ""

log = get_logger(__name__)


def halt(run: Run, reason: str, detail: Mapping[str, Any]) -> None:
    """Nothing more is signed or sent by this signer until an operator resumes it. Receipts are still watched."""
    signers.halt(run.session, *run.key, reason, run.now)
    alarm(run, SIGNER_HALTED, run.signer.address.hex(), dict(detail) | {"reason": reason})


def open_breaker(run: Run, reason: str) -> None:
    """No new nonces until an operator resets the breaker; what is live is still seen to its end."""
    signers.open_breaker(run.session, *run.key, reason, run.now)
    alarm(run, BREAKER_OPEN, run.signer.address.hex(), {"reason": reason})


def tell_of_funds(run: Run, answers: Iterable[AppError | None]) -> None:
    """What nodes answered to transactions of the signer, None where they took one: a lack of money raises an alarm, for
    it holds up everything and no retry helps; once they take transactions again, it is over."""
    found = list(answers)
    short = next((answer for answer in found if isinstance(answer, InsufficientFunds)), None)
    if short is not None:
        alarm(run, SIGNER_UNDERFUNDED, run.signer.address.hex(), {"reason": short.detail})
    elif None in found:
        alarms.resolve_alarm(run.session, run.policy.chain_id, SIGNER_UNDERFUNDED, run.signer.address.hex())


def alarm(run: Run, kind: str, subject: str, detail: Mapping[str, Any]) -> None:
    """Record an alarm with the transaction that it is about, and log it."""
    found = Alarm(chain_id=run.policy.chain_id, contract_set=NO_CONTRACT_SET, kind=kind, subject=subject, detail=detail)
    alarms.raise_alarm(run.session, found)
    log.error(kind, chain_id=found.chain_id, subject=subject, detail=dict(detail))
