"""Conditional orders: what waits for a price, and which way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from app.perps.types.positions import Place, Side


class OrderKind(StrEnum):
    """What it does once its price has come: a limit order opens or increases a position, the others close one or a
    part of it."""

    LIMIT = "limit"
    STOP_LOSS = "stop_loss"
    TAKE_PROFIT = "take_profit"


class OrderStatus(StrEnum):
    """Where an order is. One that has expired, or whose position has ended, is open on chain until it is cancelled."""

    OPEN = "open"
    EXECUTED = "executed"
    CANCELLED = "cancelled"


class Waits(StrEnum):
    """Which way the price must go: to the trigger or below, or to the trigger or above."""

    BELOW = "below"
    ABOVE = "above"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as the events so far have left it; prices in quote a unit of base, fees in quote.

    `side` is that of the position. `position_key` None: it opens one, and names it once it has. `acceptable_price_wad`
    is a buyer's highest price or a seller's lowest, None where the protocol has none. `expires_at` None: never.
    """

    protocol: str
    key: str
    market_id: str
    owner: bytes
    kind: OrderKind
    side: Side
    position_key: str | None
    size_wad: int
    collateral_wad: int
    trigger_price_wad: int
    acceptable_price_wad: int | None
    execution_fee_wad: int
    expires_at: datetime | None
    status: OrderStatus
    executed_price_wad: int | None
    executed_size_wad: int | None
    keeper: bytes | None
    created: Place
    last: Place

    @property
    def buys(self) -> bool:
        """Does it buy the base?"""
        return buys(self.kind, self.side)

    @property
    def waits(self) -> Waits:
        """Which way it waits."""
        return waits(self.kind, self.side)


def buys(kind: OrderKind, side: Side) -> bool:
    """Opening a long and closing a short buy; the other two sell."""
    return (kind is OrderKind.LIMIT) is (side is Side.LONG)


def waits(kind: OrderKind, side: Side) -> Waits:
    """A long is bought low, stopped low and gains high; a short the other way round."""
    below = (kind is OrderKind.TAKE_PROFIT) is (side is Side.SHORT)
    return Waits.BELOW if below else Waits.ABOVE
