"""Which types of an ABI a field of ours can be read from, and which values its columns hold."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.chain.types.abi import Argument
from app.perps.types.vocabulary import NUMBERS, Kind

# A column takes 78 digits. What is computed from two numbers and stored too (the leverage of a position with one unit
# of collateral) has as many digits as both, and sums have more: so a number has at most 36, of which 18 are decimals.
WAD_MOST = 10**36
COUNT_MOST = 2**31 - 1
# What is in an index, with others beside it, has to fit a third of a page.
TEXT_BYTES_MOST = 500
KEY_BYTES_MOST = 1000


@dataclass(frozen=True, slots=True)
class AbiTypes:
    """Some types, as a pattern and in words; `hashed`: an indexed string's hash will do as well."""

    pattern: str
    said: str
    hashed: bool = False

    def fits(self, argument: Argument) -> bool:
        """Can an argument be this?"""
        if is_hashed(argument):
            return self.hashed
        return re.fullmatch(self.pattern, argument.type) is not None


def is_hashed(argument: Argument) -> bool:
    """Is it indexed and larger than a word? Then the chain keeps only its hash."""
    return argument.indexed and not re.fullmatch(r"address|bool|u?int\d+|bytes\d+", argument.type)


_INTEGER = AbiTypes(r"u?int\d+", "a whole number")

ABI_TYPES: Mapping[Kind, AbiTypes] = {
    Kind.SIZE: _INTEGER,
    Kind.PRICE: _INTEGER,
    Kind.QUOTE: _INTEGER,
    Kind.RATE: _INTEGER,
    Kind.COUNT: _INTEGER,
    Kind.TIME: _INTEGER,
    Kind.TEXT: AbiTypes("string|address", "a string or an address"),
    Kind.ADDRESS: AbiTypes("address", "an address"),
    Kind.SIDE: AbiTypes(r"bool|int\d+", "a flag or a signed number"),
    Kind.ORDER_KIND: _INTEGER,
    Kind.EXPIRY: _INTEGER,
}
IDENTITY_TYPES = AbiTypes(r"address|u?int\d+|bytes\d*|string", "a number, an address, bytes or a string", hashed=True)
FEED_TYPES = AbiTypes("bytes32", "bytes32")


def misfit(kind: Kind, value: object) -> str | None:
    """Why a value of a field does not fit the columns it goes to; None when it does, as a time, a side or an address
    always will.
    """
    if kind in NUMBERS:
        return None if isinstance(value, int) and abs(value) <= WAD_MOST else "has more than 18 digits before the point"
    if kind is Kind.COUNT:
        return None if isinstance(value, int) and 0 <= value <= COUNT_MOST else f"is not from 0 to {COUNT_MOST}"
    if kind is Kind.TEXT:
        return text_misfit(str(value), TEXT_BYTES_MOST)
    return None


def text_misfit(text: str, most: int) -> str | None:
    """Why a text cannot be stored and indexed; None when it can."""
    if "\x00" in text:
        return "holds a zero byte"
    return None if len(text.encode()) <= most else f"is longer than {most} bytes"
