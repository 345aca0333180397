"""The perps' job kinds."""

from __future__ import annotations

from typing import Any

from marshmallow import ValidationError, validate, validates_schema

from app.core.http.schema import Address, StrictSchema, Text
from app.jobs.types import JobKind, Queue

NAME = validate.Length(1, 40)
KEY = validate.Length(1, 200)


class MarketParams(StrictSchema):
    """Which market's; every market of the protocol when none is named, every protocol's when none is."""

    protocol = Text(load_default=None, allow_none=True, validate=NAME)
    market = Text(load_default=None, allow_none=True, validate=KEY, metadata={"description": "a market's id"})

    @validates_schema
    def _market_of_a_protocol(self, data: dict[str, Any], **_: Any) -> None:
        if data["market"] is not None and data["protocol"] is None:
            raise ValidationError("Name the market's protocol.", "protocol")


class CheckHealthParams(StrictSchema):
    """Exactly one of a position, an account (in every protocol) or a market."""

    protocol = Text(load_default=None, allow_none=True, validate=NAME)
    position = Text(load_default=None, allow_none=True, validate=KEY, metadata={"description": "a position's key"})
    account = Address(load_default=None, allow_none=True)
    market = Text(load_default=None, allow_none=True, validate=KEY, metadata={"description": "a market's id"})

    @validates_schema
    def _one_of_them(self, data: dict[str, Any], **_: Any) -> None:
        named = [name for name in ("position", "account", "market") if data[name] is not None]
        if len(named) != 1:
            raise ValidationError(
                "Name exactly one of position, account and market.", named[0] if named else "position"
            )
        if (data["protocol"] is None) is not (data["account"] is not None):
            raise ValidationError("A position and a market have a protocol; an account has none.", "protocol")


class LiquidateParams(StrictSchema):
    """Which position."""

    protocol = Text(required=True, validate=NAME)
    position = Text(required=True, validate=KEY, metadata={"description": "the position's key"})


SETTLE_FUNDING = JobKind(
    name="perps.settle_funding",
    summary="Settle the funding of one market or of all, on chain or by our own authority; each slot once, in order.",
    params=MarketParams,
    queue=Queue.PERPS,
    scope="perps:write",
    timeout_seconds=120,
    max_attempts=8,
    backoff_seconds=5.0,
    backoff_cap_seconds=120.0,
    serial_key=lambda params: f"funding:{params['protocol'] or '*'}:{params['market'] or '*'}",
)

CHECK_HEALTH = JobKind(
    name="perps.check_health",
    summary="Judge a position, an account or a market at the latest verified price; the contract decides what is open.",
    params=CheckHealthParams,
    queue=Queue.PERPS,
    scope="perps:write",
    timeout_seconds=60,
    max_attempts=3,
    backoff_seconds=2.0,
)

SCAN_LIQUIDATIONS = JobKind(
    name="perps.scan_liquidations",
    summary="Find the positions that the latest prices endanger and liquidate those for which that is right.",
    params=MarketParams,
    queue=Queue.LIQUIDATION,
    scope="perps:write",
    timeout_seconds=60,
    max_attempts=2,
    backoff_seconds=1.0,
    overlap_key=lambda params: f"scan_liquidations:{params['protocol'] or '*'}:{params['market'] or '*'}",
)

EXECUTE_ORDERS = JobKind(
    name="perps.execute_orders",
    summary="Find the orders whose price has come, by the latest prices, and execute those for which that is right.",
    params=MarketParams,
    queue=Queue.PERPS,
    scope="perps:write",
    timeout_seconds=60,
    max_attempts=2,
    backoff_seconds=1.0,
    overlap_key=lambda params: f"execute_orders:{params['protocol'] or '*'}:{params['market'] or '*'}",
)

LIQUIDATE = JobKind(
    name="perps.liquidate",
    summary="Liquidate one position, if the contract allows it and it pays; done when its transaction is final.",
    params=LiquidateParams,
    queue=Queue.LIQUIDATION,
    scope="perps:write",
    timeout_seconds=120,
    max_attempts=5,
    backoff_seconds=1.0,
    backoff_cap_seconds=10.0,
    overlap_key=lambda params: f"liquidate:{params['protocol']}:{params['position']}",
    needs_key=True,
)

MENU = (SETTLE_FUNDING, CHECK_HEALTH, SCAN_LIQUIDATIONS, LIQUIDATE, EXECUTE_ORDERS)
