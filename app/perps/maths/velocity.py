"""Funding by velocity: the skew of open interest moves the rate, and the rate moves the index.

Source: Synthetix v3's PerpsMarket (`currentFundingVelocity`, `currentFundingRate`, `unrecordedFunding`); rates and
velocities are a day's, and each product is rounded towards zero, as its decimals are. Its index has the other sign:
ours is what a long owes.
"""

from __future__ import annotations

from app.perps.maths.units import WAD, towards_zero

DAY_SECONDS = 86_400


def velocity_wad(skew_wad: int, *, skew_scale_wad: int, max_velocity_wad: int) -> int:
    """How much the daily rate changes a day: the skew's part of the scale, at most all of it, of the most there is."""
    if skew_scale_wad == 0:
        return 0
    part = max(-WAD, min(WAD, towards_zero(skew_wad * WAD, skew_scale_wad)))
    return towards_zero(part * max_velocity_wad, WAD)


def rate_at_wad(last_rate_wad: int, velocity: int, elapsed_seconds: int) -> int:
    """The daily rate after so long at this velocity."""
    return last_rate_wad + towards_zero(velocity * _days_wad(elapsed_seconds), WAD)


def index_growth_wad(last_rate_wad: int, rate_now_wad: int, price_wad: int, elapsed_seconds: int) -> int:
    """What a long of one unit owes for the time, in quote, by the mean of the rates at both ends; negative: is owed."""
    mean = towards_zero((last_rate_wad + rate_now_wad) * WAD, 2 * WAD)
    return towards_zero(towards_zero(mean * _days_wad(elapsed_seconds), WAD) * price_wad, WAD)


def _days_wad(elapsed_seconds: int) -> int:
    return elapsed_seconds * WAD // DAY_SECONDS
