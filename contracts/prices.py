"""A client of the price server: signed updates to trade with, and, for whoever plays the market, orders to move it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import requests

TIMEOUT_SECONDS = 10.0
_WAD_DIGITS = 18


@dataclass(frozen=True)
class Update:
    """A feed's newest price (wad), when it was published (seconds), and the signed bytes that prove it."""

    price_wad: int
    published_at: int
    data: bytes


class Prices:
    """One price server. Raises requests' errors when it cannot be reached or refuses."""

    def __init__(self, url: str):
        self._url = url
        self._session = requests.Session()

    def latest(self, price_id: bytes) -> Update:
        """The newest update of one feed."""
        answer = self._session.get(
            f"{self._url}/v2/updates/price/latest", params={"ids[]": price_id.hex()}, timeout=TIMEOUT_SECONDS
        )
        answer.raise_for_status()
        body = answer.json()
        price = body["parsed"][0]["price"]
        return Update(
            price_wad=int(price["price"]) * 10 ** (_WAD_DIGITS + price["expo"]),
            published_at=price["publish_time"],
            data=bytes.fromhex(body["binary"]["data"][0]),
        )

    def order(self, orders: Mapping[str, Mapping[str, Any]]) -> dict[str, Decimal]:
        """Give the server its orders by symbol; returns the prices it now publishes."""
        answer = self._session.post(f"{self._url}/dev/prices", json=orders, timeout=TIMEOUT_SECONDS)
        answer.raise_for_status()
        return {symbol: Decimal(state["price"]) for symbol, state in answer.json().items()}
