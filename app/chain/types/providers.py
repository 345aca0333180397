"""How providers stand, and what audits of them found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID


class Standing(NamedTuple):
    """A provider that failed or lied: `failures` in a row; `avoided`: others are preferred for now."""

    provider: str
    failures: int
    avoided: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeAudit:
    """A range that was read again: rows of ours that the chain has not (`extra`) or that were not there (`missing`)."""

    first_block: int
    last_block: int
    provider: str
    method: str
    rows_missing: int
    rows_extra: int
    rows_repaired: int
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit(RangeAudit):
    """An audit as it was written down."""

    id: UUID
    chain_id: int
    contract_set: str
    audited_at: datetime
