"""Hermes's words: how its queries are read and its answers written, error texts included. No network here."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from contracts.feeds import EXPO, Feed
from contracts.pnau import PriceMessage
from contracts.price_book import FeedState, Snapshot

ASSET_TYPES = ("crypto", "fx", "equity", "metal", "rates", "crypto_redemption_rate")
ORDER_LIMITS = {"conf_bps": 10_000, "stale_seconds": 7 * 86_400}
MAX_PRICE = 2**62
_FLAGS = {"true": True, "false": False}
_QUERY_ERROR = "Failed to deserialize query string. Error: "
_IDS = re.compile(r"ids\[\d*\]")


class BadRequest(ValueError):
    """A request that Hermes answers with 400 and this text."""


class NotFound(LookupError):
    """A request that Hermes answers with 404 and this text."""


@dataclass(frozen=True)
class PriceQuery:
    """What is asked of an update: which feeds, in which encoding, with or without the parsed part."""

    price_ids: tuple[bytes, ...]
    encoding: str
    parsed: bool

    @classmethod
    def parse(cls, pairs: Sequence[tuple[str, str]], feeds: Sequence[Feed]) -> PriceQuery:
        """Read a query string's pairs; raises BadRequest, and NotFound for ids it does not publish."""
        asked = [_price_id(value) for name, value in pairs if _IDS.fullmatch(name)]
        if not asked:
            raise BadRequest(_QUERY_ERROR + "missing field `ids`")
        values = dict(pairs)
        encoding = values.get("encoding", "hex")
        if encoding not in ("hex", "base64"):
            raise BadRequest(_QUERY_ERROR + f"unknown variant `{encoding}`, expected `hex` or `base64`")
        known = {feed.price_id for feed in feeds}
        missing = [price_id.hex() for price_id in asked if price_id not in known]
        if missing and not _flag(values, "ignore_invalid_price_ids", default=False):
            raise NotFound("Price ids not found: " + ", ".join("0x" + price_id for price_id in missing))
        price_ids = tuple(price_id for price_id in dict.fromkeys(asked) if price_id in known)
        return cls(price_ids, encoding, _flag(values, "parsed", default=True))


def update_view(snapshot: Snapshot, query: PriceQuery) -> dict[str, Any]:
    """A snapshot as Hermes writes it: signed bytes, and the same prices in words."""
    blobs = [snapshot.accumulator.encode(query.price_ids)] if query.price_ids else []
    encode = bytes.hex if query.encoding == "hex" else lambda data: base64.b64encode(data).decode()
    view: dict[str, Any] = {"binary": {"encoding": query.encoding, "data": [encode(data) for data in blobs]}}
    if query.parsed:
        found = (snapshot.find(price_id) for price_id in query.price_ids)
        view["parsed"] = [_parsed(message, snapshot) for message in found if message is not None]
    return view


def feed_metadata(feeds: Sequence[Feed], pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """The feeds whose symbol holds `query` and that are of `asset_type`; all of ours are crypto."""
    values = dict(pairs)
    asset_type = values.get("asset_type")
    if asset_type is not None and asset_type not in ASSET_TYPES:
        variants = ", ".join(f"`{name}`" for name in ASSET_TYPES)
        raise BadRequest(_QUERY_ERROR + f"unknown variant `{asset_type}`, expected one of {variants}")
    wanted = values.get("query", "").lower()
    views = [_metadata(feed) for feed in feeds if asset_type in (None, "crypto")]
    return [view for view in views if wanted in view["attributes"]["symbol"].lower()]


def order_from(body: object, known: set[str]) -> dict[str, dict[str, Any]]:
    """A control request as arguments of PriceBook.order by symbol; raises BadRequest and NotFound, naming the fault."""
    if not isinstance(body, dict) or not all(isinstance(changes, dict) for changes in body.values()):
        raise BadRequest('expected {"<symbol>": {"price": "…", "conf_bps": …, "frozen": …, "stale_seconds": …}}')
    unknown = sorted(set(body) - known)
    if unknown:
        raise NotFound(f"no such symbol: {', '.join(unknown)}")
    return {symbol: {name: _order_value(name, value) for name, value in body[symbol].items()} for symbol in body}


def order_view(state: FeedState) -> dict[str, Any]:
    """What a feed now publishes, and under which orders."""
    if state.message is None:
        raise RuntimeError("a feed in the book has always published")
    return {
        "price": f"{Decimal(state.message.price).scaleb(EXPO):f}",
        "conf_bps": state.conf_bps,
        "frozen": state.frozen,
        "stale_seconds": state.stale_seconds,
        "publish_time": state.message.publish_time,
    }


def _order_value(name: str, value: object) -> int | bool:
    if name == "price" and isinstance(value, str):
        return _price(value)
    if name == "frozen" and isinstance(value, bool):
        return value
    # A bool is an int to Python, but not to whoever wrote the request.
    if name in ORDER_LIMITS and type(value) is int and 0 <= value <= ORDER_LIMITS[name]:
        return value
    raise BadRequest(f"`{name}` cannot be {value!r}")


def _price(text: str) -> int:
    try:
        scaled = Decimal(text).scaleb(-EXPO)
    except InvalidOperation:
        raise BadRequest(f"`price` cannot be {text!r}") from None
    if not scaled.is_finite() or scaled != scaled.to_integral_value() or not 0 < scaled <= MAX_PRICE:
        raise BadRequest(f"`price` must be positive with at most {-EXPO} decimals, not {text!r}")
    return int(scaled)


def _price_id(text: str) -> bytes:
    digits = text.removeprefix("0x")
    bad = re.search(r"[^0-9a-fA-F]", digits)
    if len(digits) % 2:
        raise BadRequest(_QUERY_ERROR + "Odd number of digits")
    if len(digits) != 64:
        raise BadRequest(_QUERY_ERROR + "Invalid string length")
    if bad:
        raise BadRequest(_QUERY_ERROR + f"Invalid character '{bad.group()}' at position {bad.start()}")
    return bytes.fromhex(digits)


def _flag(values: dict[str, str], name: str, *, default: bool) -> bool:
    text = values.get(name)
    if text is None:
        return default
    if text not in _FLAGS:
        raise BadRequest(_QUERY_ERROR + "provided string was not `true` or `false`")
    return _FLAGS[text]


def _parsed(message: PriceMessage, snapshot: Snapshot) -> dict[str, Any]:
    return {
        "id": message.price_id.hex(),
        "price": _price_view(message.price, message.conf, message),
        "ema_price": _price_view(message.ema_price, message.ema_conf, message),
        "metadata": {
            "slot": snapshot.slot,
            "proof_available_time": snapshot.at,
            "prev_publish_time": message.prev_publish_time,
        },
    }


def _price_view(price: int, conf: int, message: PriceMessage) -> dict[str, Any]:
    return {"price": str(price), "conf": str(conf), "expo": message.expo, "publish_time": message.publish_time}


def _metadata(feed: Feed) -> dict[str, Any]:
    attributes = {
        "asset_type": "Crypto",
        "base": feed.base,
        "description": f"{feed.name} / US DOLLAR",
        "display_symbol": f"{feed.base}/{feed.quote}",
        "generic_symbol": f"{feed.base}{feed.quote}",
        "quote_currency": feed.quote,
        "symbol": f"Crypto.{feed.base}/{feed.quote}",
    }
    return {"id": feed.price_id.hex(), "attributes": attributes}
