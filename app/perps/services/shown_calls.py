"""Update data and built calls as HTTP shows them: bytes as 0x, wei as strings."""

from __future__ import annotations

from typing import Any

from app.core.clock import rfc3339
from app.oracle.types.prices import Price
from app.perps.maths.units import scaled_wad, wad_text
from app.perps.types.client import BuiltCall, PricedUpdate


def show_update(found: PricedUpdate) -> dict[str, Any]:
    """Update data, its fee, and the prices in it."""
    return {
        "chain_id": found.chain_id,
        "contract": "0x" + found.contract.hex(),
        "update_data": ["0x" + data.hex() for data in found.update.data],
        "fee_wei": found.fee_wei,
        "prices": [
            _price(price, [market.market_id for market in found.markets if market.terms.price_feed == price.feed])
            for price in found.update.prices
        ],
    }


def show_call(built: BuiltCall) -> dict[str, Any]:
    """An unsigned call with what it carries."""
    return {
        "chain_id": built.update.chain_id,
        "to": "0x" + built.call.to.hex(),
        "data": "0x" + built.call.data.hex(),
        "value_wei": built.call.value_wei,
        "expires_at": rfc3339(built.expires_at),
        "update": show_update(built.update),
    }


def _price(price: Price, markets: list[str]) -> dict[str, Any]:
    return {
        "feed": "0x" + price.feed.hex(),
        "markets": markets,
        "price": wad_text(scaled_wad(price.price, -price.expo)),
        "confidence": wad_text(scaled_wad(price.conf, -price.expo)),
        "published_at": rfc3339(price.publish_time),
    }
