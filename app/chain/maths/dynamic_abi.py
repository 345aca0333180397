"""What word slices cannot read: event data with a string, bytes, an array or a struct in it, read by eth-abi."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eth_abi.codec import ABIDecoder
from eth_abi.decoding import AddressDecoder
from eth_abi.exceptions import DecodingError
from eth_abi.registry import BaseEquals
from eth_abi.registry import registry as standard_registry

from app.chain.errors import MalformedEvent


class _RawAddress(AddressDecoder):
    """Addresses as the twenty bytes they are, like our own slicers give them."""

    decoder_fn = staticmethod(bytes)  # type: ignore[assignment]  # typed as giving text


_REGISTRY = standard_registry.copy()  # type: ignore[no-untyped-call]
_REGISTRY.unregister_decoder("address")
_REGISTRY.register_decoder(BaseEquals("address"), _RawAddress, label="address")  # type: ignore[no-untyped-call]
_CODEC = ABIDecoder(_REGISTRY)


def decode(name: str, types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """The values of the event `name`'s data; raises MalformedEvent."""
    try:
        values: tuple[Any, ...] = _CODEC.decode(types, data, strict=False)
    except (DecodingError, UnicodeDecodeError, OverflowError) as error:
        raise MalformedEvent(f"{name}: data does not fit the ABI ({error!s:.200}).") from error
    return values
