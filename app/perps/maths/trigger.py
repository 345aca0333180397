"""The trigger key: one number a position that neither prices, nor funding, nor a change of the margin rate moves.

A position's equity a unit is below its margin, C/q + s·(p − e) − (I − I₀) < m·p, exactly when

    s·e − I₀ − C/q  >  s·p − m·p − I.

The left side is the position's own: its key, the higher the nearer to liquidation on either side. The right side is the
market's: one bound a (market, side, margin tier). So a price tick is one range scan from the bound up, in a
double-precision index. The key is widened by the contract's roundings, and the bound lowered by a guard band, so that
the scan may bring a healthy position but misses no other; exact integers decide.
"""

from __future__ import annotations

from app.perps.maths.units import WAD
from app.perps.types.markets import Margin
from app.perps.types.positions import Holding, Side

# Profit is rounded down and funding up, each by less than one unit of quote.
ROUNDING_UNITS = 2
GUARD = 1e-9


def trigger_key(holding: Holding) -> float:
    """s·e − I₀ − C/q in quote a unit of base, widened by the roundings; correctly rounded to a double."""
    own = holding.side.sign * holding.entry_price_wad - holding.entry_funding_index_wad
    return (own * holding.size_wad - (holding.collateral_wad - ROUNDING_UNITS) * WAD) / (holding.size_wad * WAD)


def trigger_bound(side: Side, price_wad: int, index_wad: int, margin: Margin) -> float:
    """s·p − m·p − I, less the guard band: positions whose key is at or above it are the candidates at this price."""
    notional = price_wad * (side.sign * WAD - margin.rate_wad)
    bound = (notional - index_wad * WAD) / (WAD * WAD)
    band = GUARD * max(abs(notional), abs(index_wad) * WAD) / (WAD * WAD)
    return bound - band
