"""Numbers as contracts and feeds write them, into wad; and the roundings."""

from __future__ import annotations

WAD_DECIMALS = 18
WAD: int = 10**WAD_DECIMALS
WORD = 32  # bytes of a contract's word
Q192 = 192  # two times the 96 fractional bits of a square-root price


def divide_up(numerator: int, denominator: int) -> int:
    """The quotient rounded towards +∞; the denominator is positive."""
    return -(-numerator // denominator)


def towards_zero(numerator: int, denominator: int) -> int:
    """The quotient rounded towards zero, as contracts divide signed numbers; the denominator is positive."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def scaled_wad(value: int, decimals: int) -> int:
    """`value`, which counts 10^-decimals, in wad. Exact up to 18 decimals; beyond, rounded down."""
    shift = WAD_DECIMALS - decimals
    unit: int = 10 ** abs(shift)
    return value * unit if shift >= 0 else value // unit


def sqrt_price_wad(value: int) -> int:
    """A price given as its square root with 96 fractional bits (Uniswap v3's sqrtPriceX96), rounded down."""
    return value * value * WAD >> Q192


def wad_text(value: int) -> str:
    """A wad number as a plain decimal, exact and without trailing zeros: `-0.5`."""
    whole, fraction = divmod(abs(value), WAD)
    digits = f"{fraction:0{WAD_DECIMALS}d}".rstrip("0")
    return f"{'-' if value < 0 else ''}{whole}{'.' + digits if digits else ''}"
