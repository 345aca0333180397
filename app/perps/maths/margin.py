"""What a position is worth, what it must keep, and whether it may be liquidated.

Source: the exchange's own `_value_at` and `_is_below_maintenance` (contracts/perp.vy), with which these agree to the
unit. Each payment is rounded by itself and against the trader: profit down, funding owed up, the margin up.
"""

from __future__ import annotations

from decimal import ROUND_FLOOR, Context, Decimal

from app.perps.maths.units import WAD, divide_up
from app.perps.types.markets import Boundary, Margin
from app.perps.types.positions import Holding, Prospects

HEALTH_DIGITS = 6
# Wide enough for a quotient of any two numbers that fit a contract's word.
_EXACT = Context(prec=200, rounding=ROUND_FLOOR)


def price_pnl_wad(holding: Holding, price_wad: int) -> int:
    """What the price's move has won or lost, in quote; rounded down, so a loss up."""
    return holding.side.sign * holding.size_wad * (price_wad - holding.entry_price_wad) // WAD


def funding_owed_wad(holding: Holding, index_wad: int) -> int:
    """Funding owed since the entry at the side's index, in quote; negative is earned. Rounded up, an earning down."""
    return divide_up(holding.size_wad * (index_wad - holding.entry_funding_index_wad), WAD)


def equity_wad(holding: Holding, price_wad: int, index_wad: int) -> int:
    """Collateral, profit and funding together; negative when it is insolvent."""
    return holding.collateral_wad + price_pnl_wad(holding, price_wad) - funding_owed_wad(holding, index_wad)


def maintenance_wad(size_wad: int, price_wad: int, margin: Margin) -> int:
    """What the position must keep at this price, in quote, rounded up."""
    return divide_up(size_wad * price_wad * margin.rate_wad, WAD * WAD)


def prospects(holding: Holding, price_wad: int, index_wad: int, margin: Margin) -> Prospects:
    """All of it at one price and its side's index there."""
    return Prospects(
        price_pnl_wad=price_pnl_wad(holding, price_wad),
        funding_wad=funding_owed_wad(holding, index_wad),
        equity_wad=equity_wad(holding, price_wad, index_wad),
        maintenance_wad=maintenance_wad(holding.size_wad, price_wad, margin),
    )


def is_liquidatable(holding: Holding, price_wad: int, index_wad: int, margin: Margin) -> bool:
    """Equity against the exact margin, cross-multiplied: nothing but the equity's own payments is rounded."""
    equity = equity_wad(holding, price_wad, index_wad) * WAD * WAD
    required = holding.size_wad * price_wad * margin.rate_wad
    return equity <= required if margin.boundary is Boundary.AT_OR_BELOW else equity < required


def health_factor(holding: Holding, price_wad: int, index_wad: int, margin: Margin) -> Decimal | None:
    """Equity over the exact margin, rounded down to six digits; None (infinite) when nothing need be kept.

    Below 1 exactly when equity is below the margin.
    """
    required = holding.size_wad * price_wad * margin.rate_wad
    if required == 0:
        return None
    millionths = equity_wad(holding, price_wad, index_wad) * WAD * WAD * 10**HEALTH_DIGITS // required
    return _EXACT.scaleb(Decimal(millionths), -HEALTH_DIGITS)


def leverage_wad(size_wad: int, entry_price_wad: int, collateral_wad: int) -> int | None:
    """Notional at entry over the collateral, rounded up; None without collateral."""
    return divide_up(size_wad * entry_price_wad, collateral_wad) if collateral_wad > 0 else None
