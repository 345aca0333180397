"""The prices at which a position meets its margin or nothing is left of it, at given funding indexes."""

from __future__ import annotations

from app.perps.maths.units import WAD, divide_up
from app.perps.types.markets import Boundary, Margin
from app.perps.types.positions import Holding, Side

_NOTHING = Margin(rate_wad=0, boundary=Boundary.BELOW)


def liquidation_price_wad(holding: Holding, index_wad: int, margin: Margin) -> int | None:
    """p* = (s·e − C/q + I − I₀)/(s − m): where equity equals the margin, holding the side's index.

    Rounded towards the trader's present price, so that what is shown is reached no later than the liquidation: up for a
    long, down for a short. None for a long that no positive price endangers; 0 for a short that every price does. The
    contract's roundings of payments, at most two units of quote, are left out. Source: perps.md §2, derived without
    freezing the margin at today's price.
    """
    sign = holding.side.sign
    gap = index_wad - holding.entry_funding_index_wad
    numerator = (sign * holding.entry_price_wad + gap) * holding.size_wad - holding.collateral_wad * WAD
    numerator, denominator = sign * numerator * WAD, holding.size_wad * (WAD - sign * margin.rate_wad)
    if holding.side is Side.LONG:
        return divide_up(numerator, denominator) if numerator > 0 else None
    return max(numerator // denominator, 0)


def bankruptcy_price_wad(holding: Holding, index_wad: int) -> int | None:
    """Where equity is nothing; rounded, and None or 0, as for the liquidation price."""
    return liquidation_price_wad(holding, index_wad, _NOTHING)
