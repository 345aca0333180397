"""Accounts of cross margin: what one is worth as of some prices, and how far these may move until it must be asked."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from app.perps.types.positions import Side


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """A position of an account at a price; `funding_wad` is what it owes since it was last settled."""

    side: Side
    size_wad: int
    entry_price_wad: int
    price_wad: int
    funding_wad: int
    margin_rate_wad: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountHealth:
    """A snapshot. `balance_wad` is what was paid in and won; `health_factor` None: it need not keep anything.

    `drift_bound`: as long as no price has moved by more than this part of itself since the snapshot, the account cannot
    be liquidated; None: no move endangers it, 0: it is liquidatable, or stands at the boundary.
    """

    balance_wad: int
    unrealized_pnl_wad: int
    funding_wad: int
    equity_wad: int
    maintenance_wad: int
    is_liquidatable: bool
    health_factor: Decimal | None
    drift_bound: Decimal | None
