"""A replay's words: what a keeper that missed nothing would have liquidated, beside what was."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.perps.types.health import Verdict
from app.perps.types.positions import Liquidation, PositionStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """The first recorded price that endangered a position: at which block the chain was, and how far it had gone.

    `status` and `ended_block_number` are what became of the position by the range's end, `liquidation` its liquidation.
    """

    key: str
    market_id: str
    block_number: int | None
    published_at: datetime
    price_wad: int
    verdict: Verdict
    shortfall_wad: int
    status: PositionStatus = PositionStatus.OPEN
    ended_block_number: int | None = None
    liquidation: Liquidation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay came to. `unforeseen`: liquidations of the range that no recorded price had announced."""

    protocol: str
    from_block: int
    to_block: int
    start_at: datetime | None
    end_at: datetime | None
    events: int
    prices: int
    crossings: tuple[Crossing, ...]
    unforeseen: tuple[Liquidation, ...]
