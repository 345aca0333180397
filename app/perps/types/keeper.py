"""The keeper's words: what became of a position it looked at, and what it spends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from app.core.errors import AppError
from app.perps.types.health import Health
from app.perps.types.positions import Position

LIQUIDATE = "liquidate"
SETTLE_FUNDING = "settle_funding"


def subject(protocol: str, key: str) -> str:
    """What an intent of ours is about: one is live for it at a time."""
    return f"{protocol}:{key}"


class Fate(StrEnum):
    """What became of a position. `seen`: endangered, but this deployment sends nothing for its protocol. `planned`: an
    intent is on its way. `safe`: healthy at the update's own price, over the whole interval; `healthy`: the contract
    says so; `gone`: the contract has it no more, and the indexer will see. `unprofitable`: the bonus does not cover
    the cost. `refused`: the contract would revert for another reason. `unreached`: no update data, or no answer from
    the node: nothing is known, and the next scan tries again.
    """

    SEEN = "seen"
    PLANNED = "planned"
    SAFE = "safe"
    HEALTHY = "healthy"
    GONE = "gone"
    UNPROFITABLE = "unprofitable"
    REFUSED = "refused"
    UNREACHED = "unreached"


@dataclass(frozen=True, slots=True)
class Caps:
    """What a scan may do. `native_feed`: the price of the coin that pays for gas, by symbol or id; None: liquidations
    are not held against their cost. `min_profit_wad`: what must be left of the bonus, in quote; may be negative.
    """

    max_liquidations: int
    native_feed: str | None
    min_profit_wad: int
    gas_ceiling: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A position and its fate. `bonus_wad` and `cost_wad` (in quote, rounded up) where the rehearsal told them."""

    position: Position
    fate: Fate
    health: Health | None = None
    detail: str = ""
    error: AppError | None = None
    bonus_wad: int | None = None
    cost_wad: int | None = None
    intent_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan came to: markets looked at, markets without a usable price and why, and each candidate's fate."""

    markets: int
    unpriced: Mapping[str, str]
    attempts: tuple[Attempt, ...]
    cut: bool
