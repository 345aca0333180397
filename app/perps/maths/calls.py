"""Calls of a protocol's contract, encoded from its ABI and the file's words for the arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from app.perps.types.protocol import PerpsSection
from app.perps.types.sections import PriceCall

UPDATE_DATA = "update_data"
# Pyth's public interface: `getUpdateFee(bytes[]) returns (uint256)`.
PYTH_UPDATE_FEE = keccak(text="getUpdateFee(bytes[])")[:4]


def find_function(abi: Sequence[Mapping[str, Any]], name: str, arguments: int) -> Mapping[str, Any] | None:
    """The ABI's function of that name and number of arguments."""
    for entry in abi:
        if entry.get("type") == "function" and entry.get("name") == name and len(entry["inputs"]) == arguments:
            return entry
    return None


def encode_call(function: Mapping[str, Any], values: Sequence[Any]) -> bytes:
    """The call's data: selector and arguments; identities come as text, and are read by their types."""
    types = [str(argument["type"]) for argument in function["inputs"]]
    selector = keccak(text=f"{function['name']}({','.join(types)})")[:4]
    return selector + encode(types, [_argument(kind, value) for kind, value in zip(types, values, strict=True)])


def encode_update_fee(update_data: Sequence[bytes]) -> bytes:
    """Pyth's question what an update costs."""
    return PYTH_UPDATE_FEE + encode(["bytes[]"], [list(update_data)])


def encode_price(call: PriceCall, market_id: str) -> bytes:
    """The question what a market's price is."""
    values = [_argument(kind, value) for kind, value in zip(call.types, market_id.split(":"), strict=True)]
    return keccak(text=call.signature)[:4] + encode(call.types, values)


def call_values(
    section: PerpsSection,
    *,
    market_id: str,
    position: str | None = None,
    order: str | None = None,
    update_data: Sequence[bytes] = (),
) -> dict[str, Any]:
    """Our words for arguments, with their values: the identities' fields and the update data."""
    values: dict[str, Any] = dict(zip(section.identity.market, market_id.split(":"), strict=True))
    if position is not None:
        values |= dict(zip(section.identity.position, position.split(":"), strict=True))
    if order is not None:
        values |= dict(zip(section.identity.order, order.split(":"), strict=True))
    return values | {UPDATE_DATA: list(update_data)}


def _argument(kind: str, value: Any) -> Any:
    if isinstance(value, str) and kind.startswith(("uint", "int")):
        return int(value)
    if isinstance(value, str) and kind.startswith("bytes"):
        return bytes.fromhex(value.removeprefix("0x"))
    return value
