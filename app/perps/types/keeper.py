"""The keeper's words: what became of a position or an order it looked at, and what it spends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from app.core.errors import AppError
from app.perps.types.health import Health
from app.perps.types.orders import Order
from app.perps.types.positions import Position

LIQUIDATE = "liquidate"
EXECUTE_ORDER = "execute_order"
SETTLE_FUNDING = "settle_funding"


def subject(protocol: str, key: str) -> str:
    """What an intent of ours is about: one is live for it at a time."""
    return f"{protocol}:{key}"


class Fate(StrEnum):
    """What became of a position or an order.

    `seen`: endangered or triggered, but this deployment sends nothing for its protocol. `planned`: an intent is on its
    way. `safe`: healthy at the update's own price, over the whole interval. `waiting`: an order whose price has not
    come at the update's own, or is not acceptable. `healthy`, `untriggered`: the contract says so. `gone`: the contract
    has it no more, and the indexer will see. `unprofitable`: the bonus does not cover the cost. `refused`: the contract
    would revert for another reason. `unreached`: no update data, or no answer from the node: nothing is known, and the
    next scan tries again.
    """

    SEEN = "seen"
    PLANNED = "planned"
    SAFE = "safe"
    WAITING = "waiting"
    HEALTHY = "healthy"
    UNTRIGGERED = "untriggered"
    GONE = "gone"
    UNPROFITABLE = "unprofitable"
    REFUSED = "refused"
    UNREACHED = "unreached"


Target = Position | Order


@dataclass(frozen=True, slots=True)
class Caps:
    """What a scan may do. `native_feed`: the price of the coin that pays for gas, by symbol or id; None: bonuses are
    not held against their cost. `min_profit_wad`: what must be left of the bonus, in quote; may be negative.
    """

    max_liquidations: int
    max_orders: int
    native_feed: str | None
    min_profit_wad: int
    gas_ceiling: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A position or an order, and its fate. `bonus_wad` (an order's fee) and `cost_wad` (in quote, rounded up) where
    the rehearsal told them."""

    target: Target
    fate: Fate
    health: Health | None = None
    detail: str = ""
    error: AppError | None = None
    bonus_wad: int | None = None
    cost_wad: int | None = None
    intent_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ScanReport:
    """What a scan came to: markets looked at, markets without a usable price and why, and each candidate's fate.

    `cut`: there were more than it may take.
    """

    markets: int
    unpriced: Mapping[str, str]
    attempts: tuple[Attempt, ...]
    cut: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class KeeperAction:
    """A transaction that a keeper planned, and when what happened; `outcome` None: it has not ended."""

    intent_id: UUID
    protocol: str
    action: str
    key: str
    market_id: str
    price_published_at: datetime
    detected_at: datetime
    planned_at: datetime
    broadcast_at: datetime | None
    included_at: datetime | None
    block_number: int | None
    outcome: str | None
