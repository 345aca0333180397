"""Exact arithmetic on prices: value = integer · 10^expo. No floats; every rounding is said."""

from __future__ import annotations

from decimal import Decimal

from app.oracle.errors import UpdateInvalid

WAD_DIGITS = 18
BPS = 10_000
# Pyth publishes -12 to 0. What is allowed here keeps a power of ten small whatever a message says.
MIN_EXPO = -36
MAX_EXPO = 18


def check_expo(expo: int) -> int:
    """`expo` itself; raises UpdateInvalid outside [-36, 18]."""
    if not MIN_EXPO <= expo <= MAX_EXPO:
        raise UpdateInvalid("expo_out_of_range")
    return expo


def as_decimal(value: int, expo: int) -> Decimal:
    """value · 10^expo exactly, whatever the decimal context; raises UpdateInvalid for an exponent out of range."""
    return Decimal((int(value < 0), tuple(map(int, str(abs(value)))), check_expo(expo)))


def as_wad(value: int, expo: int, *, up: bool = False) -> int:
    """value · 10^(expo + 18) as an integer, rounded down (towards -∞), or up (towards +∞) with `up`.

    Exact for every exponent of -18 or more. Raises UpdateInvalid for an exponent out of range.
    """
    shift = check_expo(expo) + WAD_DIGITS
    unit: int = 10 ** abs(shift)
    if shift >= 0:
        return value * unit
    return -(-value // unit) if up else value // unit


def confidence_bps(price: int, conf: int) -> int:
    """The interval's half width in parts of 10,000 of the price, rounded up; the price must be positive."""
    if price <= 0:
        raise ValueError("confidence is relative to a positive price")
    return -(-conf * BPS // price)
