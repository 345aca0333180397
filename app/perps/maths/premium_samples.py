"""Funding by samples of an order book's premium over the index: votes, samples, an hour's rate, the index's growth.

Source: dYdX v4 (`memclob.go`'s GetPremiumPrice, `perpetual.go`'s premium votes and samples, `funding.go`), which counts
in millionths; here any whole unit will do, and rates are wad. Every division is rounded towards zero but the median's.
"""

from __future__ import annotations

from collections.abc import Sequence

from app.perps.maths.units import WAD, towards_zero

VOTES_A_SAMPLE = 15
SAMPLES_AN_HOUR = 60
PERIOD_SECONDS = 8 * 3600  # what a rate is for


def premium_wad(
    impact_bid_wad: int | None, impact_ask_wad: int | None, index_price_wad: int, *, max_premium_wad: int
) -> int:
    """(max(0, bid − index) − max(0, index − ask)) / index, at most `max_premium_wad` either way.

    The impact prices are those that the book gives for the impact notional; None: its side is too thin, and says
    nothing.
    """
    above = 0 if impact_bid_wad is None else max(0, impact_bid_wad - index_price_wad)
    below = 0 if impact_ask_wad is None else max(0, index_price_wad - impact_ask_wad)
    found = towards_zero((above - below) * WAD, index_price_wad)
    return max(-max_premium_wad, min(max_premium_wad, found))


def sample(votes: Sequence[int], *, least: int = VOTES_A_SAMPLE) -> int:
    """A minute's premium: the median of its votes, those that are missing counted as nothing; a half away from zero."""
    padded = sorted([*votes, *[0] * (least - len(votes))])
    middle, odd = divmod(len(padded), 2)
    if odd:
        return padded[middle]
    total = padded[middle - 1] + padded[middle]
    return (abs(total) + 1) // 2 * (1 if total >= 0 else -1)


def hour_premium(samples: Sequence[int], *, least: int = SAMPLES_AN_HOUR) -> int:
    """An hour's premium: the mean of its samples, those that are missing counted as nothing."""
    return towards_zero(sum(samples), max(len(samples), least))


def rate_wad(premium: int, *, default_wad: int, clamp_factor: int, initial_rate_wad: int, margin_rate_wad: int) -> int:
    """The rate for eight hours: premium and default, at most `clamp_factor` times what the margins leave in between."""
    most = clamp_factor * (initial_rate_wad - margin_rate_wad)
    return max(-most, min(most, premium + default_wad))


def index_growth_wad(rate: int, price_wad: int, elapsed_seconds: int) -> int:
    """What a unit of base owes for the time at this rate for eight hours, in quote; negative: is owed."""
    return towards_zero(rate * price_wad * elapsed_seconds, WAD * PERIOD_SECONDS)
