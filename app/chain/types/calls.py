"""A call that might be sent: what it would do and cost, asked before anything is planned."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.errors import AppError


@dataclass(frozen=True, slots=True)
class ContractCall:
    """A call of a contract: 20 bytes of address, encoded data, wei."""

    to: bytes
    data: bytes
    value_wei: int = 0


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a call would do now: what it returns, and the most it can cost, value and gas; or why it would not work.

    `reason`: the contract's own words, where it reverted.
    """

    returned: bytes | None = None
    max_cost_wei: int | None = None
    failure: AppError | None = None
    reason: str | None = None
