"""Which types of an ABI a field of ours can be read from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from app.chain.types.abi import Argument
from app.perps.types.vocabulary import Kind


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
