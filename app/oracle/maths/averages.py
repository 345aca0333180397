"""Averages over time that is unevenly spaced. Whole numbers in and out; nothing here is a float."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

MICROSECOND = timedelta(microseconds=1)
# Enough for 78 digits of an integer beside the digits of the decay.
PRECISE = Context(prec=120, rounding=ROUND_HALF_EVEN)


def ema(previous: int, price: int, elapsed: timedelta, halflife_seconds: int) -> int:
    """The exponential moving average after `elapsed`: previous + (1 − 2^(−elapsed / half-life)) · (price − previous).

    Rounded to the nearest integer, ties to even. No time changes nothing; raises ValueError for time that runs back.
    """
    if elapsed < timedelta(0):
        raise ValueError("an average does not go back in time")
    exponent = PRECISE.divide(Decimal(-(elapsed // MICROSECOND)), Decimal(halflife_seconds * 1_000_000))
    decay = PRECISE.power(Decimal(2), exponent)
    moved = PRECISE.fma(PRECISE.subtract(Decimal(1), decay), Decimal(price - previous), Decimal(previous))
    return int(moved.to_integral_value(context=PRECISE))


def twap(prices: Sequence[tuple[datetime, int]], start: datetime, end: datetime) -> int:
    """The average of prices over [start, end), each weighted by how long it held, rounded down.

    `prices` in rising order of their times; the first may be from before `start`, and holds from there. Time before the
    first price does not count. Raises ValueError when no price held at all.
    """
    held = total = 0
    for place, (since, price) in enumerate(prices):
        until = prices[place + 1][0] if place + 1 < len(prices) else end
        weight = (min(until, end) - max(since, start)) // MICROSECOND
        if weight > 0:
            held += weight
            total += weight * price
    if held == 0:
        raise ValueError("no price held in this time")
    return total // held
