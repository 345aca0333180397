"""An account of cross margin: its health at one price a market, and how long that answers for others.

Equity moves with a price by a leg's size, and so does what must be kept: when every price moves by at most d of itself,
what is left above the margin falls by at most d times the sum of the longs' notional times (1 - m) and the shorts'
times (1 + m). So the account need not be looked at again until a price has moved by what is left over that sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_FLOOR, Context, Decimal
from fractions import Fraction

from app.perps.maths.margin import HEALTH_DIGITS
from app.perps.maths.units import WAD, divide_up
from app.perps.types.accounts import AccountHealth, Leg
from app.perps.types.markets import Boundary

_EXACT = Context(prec=200, rounding=ROUND_FLOOR)


def account_health(balance_wad: int, legs: Sequence[Leg], boundary: Boundary) -> AccountHealth:
    """The account at its legs' prices. Each leg's profit is rounded down, the margin up, factor and bound down."""
    profit = sum(leg.side.sign * leg.size_wad * (leg.price_wad - leg.entry_price_wad) // WAD for leg in legs)
    funding = sum(leg.funding_wad for leg in legs)
    equity = balance_wad + profit - funding
    required = sum(leg.size_wad * leg.price_wad * leg.margin_rate_wad for leg in legs)
    room = equity * WAD * WAD - required
    moving = sum(leg.size_wad * leg.price_wad * (WAD - leg.side.sign * leg.margin_rate_wad) for leg in legs)
    return AccountHealth(
        balance_wad=balance_wad,
        unrealized_pnl_wad=profit,
        funding_wad=funding,
        equity_wad=equity,
        maintenance_wad=divide_up(required, WAD * WAD),
        is_liquidatable=bool(legs) and (room < 0 or (room == 0 and boundary is Boundary.AT_OR_BELOW)),
        health_factor=_down(Fraction(equity * WAD * WAD, required)) if required else None,
        drift_bound=_down(max(Fraction(0), Fraction(room, moving))) if moving else None,
    )


def _down(value: Fraction) -> Decimal:
    return _EXACT.scaleb(Decimal(value.numerator * 10**HEALTH_DIGITS // value.denominator), -HEALTH_DIGITS)
