"""What readers and traders ask of the perps over HTTP."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from app.core.http.schema import Address, DecimalString, StrictSchema, Text, Time, one_of
from app.core.paging import PageQuery
from app.perps.types.client import MAX_UPDATED, ClientAction
from app.perps.types.keeper import EXECUTE_ORDER, LIQUIDATE
from app.perps.types.orders import OrderKind, OrderStatus
from app.perps.types.positions import PositionStatus, Side

NAME = validate.Length(1, 40)
KEY = validate.Length(1, 200)
ACTIONS = (LIQUIDATE, EXECUTE_ORDER)
ORDER_FIELDS = {
    ClientAction.OPEN: {"market", "side", "size", "collateral", "price_limit"},
    ClientAction.CLOSE: {"position", "price_limit"},
    ClientAction.COLLATERAL: {"position", "collateral_delta"},
}
MARKET = {"description": "a market's id, or its symbol"}


class MarketQuery(PageQuery):
    """Which markets."""

    protocol = Text(load_default=None, validate=NAME)
    symbol = Text(load_default=None, validate=KEY)


class PositionQuery(PageQuery):
    """Which positions."""

    protocol = Text(load_default=None, validate=NAME)
    market = Text(load_default=None, validate=KEY, metadata=MARKET)
    owner = Address(load_default=None)
    status = Text(load_default=None, validate=one_of(*PositionStatus))


class ConditionalOrderQuery(PageQuery):
    """Which orders."""

    protocol = Text(load_default=None, validate=NAME)
    market = Text(load_default=None, validate=KEY, metadata=MARKET)
    owner = Address(load_default=None)
    status = Text(load_default=None, validate=one_of(*OrderStatus))
    kind = Text(load_default=None, validate=one_of(*OrderKind))
    position = Text(load_default=None, validate=KEY, metadata={"description": "a position's key"})


class TimedQuery(PageQuery):
    """Which stretch: from ≤ time < to."""

    protocol = Text(load_default=None, validate=NAME)
    market = Text(load_default=None, validate=KEY, metadata=MARKET)
    start = Time(data_key="from", load_default=None)
    end = Time(data_key="to", load_default=None)

    @validates_schema
    def _ends_after_it_starts(self, data: dict[str, Any], **_: Any) -> None:
        if data["start"] is not None and data["end"] is not None and data["end"] < data["start"]:
            raise ValidationError("Before `from`.", "to")


class KeeperActionQuery(PageQuery):
    """Which of the keeper's transactions."""

    protocol = Text(load_default=None, validate=NAME)
    action = Text(load_default=None, validate=one_of(*ACTIONS))


class LiquidationQuery(TimedQuery):
    """Which liquidations."""

    owner = Address(load_default=None)
    liquidator = Address(load_default=None)
    position = Text(load_default=None, validate=KEY, metadata={"description": "a position's key"})


class PnlQuery(TimedQuery):
    """Whose."""

    owner = Address(load_default=None)
    position = Text(load_default=None, validate=KEY, metadata={"description": "a position's key"})


class UpdateQuery(StrictSchema):
    """Whose prices: of the only protocol, and of all its markets, where nothing is said."""

    protocol = Text(load_default=None, validate=NAME)
    market = fields.List(
        Text(validate=KEY), load_default=None, validate=validate.Length(1, MAX_UPDATED), metadata=MARKET
    )


class OrderSchema(StrictSchema):
    """What to build: `open` needs market, side, size, collateral and price_limit; `close` position and price_limit;
    `collateral` position and collateral_delta. Amounts are decimals in strings.
    """

    protocol = Text(required=True, validate=NAME)
    action = Text(required=True, validate=one_of(*ClientAction))
    market = Text(validate=KEY, metadata=MARKET)
    position = Text(validate=KEY, metadata={"description": "a position's key"})
    side = Text(validate=one_of(*Side))
    size = DecimalString(validate=validate.Range(min=0, min_inclusive=False))
    collateral = DecimalString(validate=validate.Range(min=0, min_inclusive=False))
    price_limit = DecimalString(
        validate=validate.Range(min=0), metadata={"description": "the worst price that is taken"}
    )
    collateral_delta = DecimalString(
        validate=validate.NoneOf([Decimal(0)], error="Nothing to change."),
        metadata={"description": "added; below zero taken out"},
    )

    @validates_schema
    def _as_the_action_needs(self, data: dict[str, Any], **_: Any) -> None:
        needed = ORDER_FIELDS[ClientAction(data["action"])]
        given = data.keys() - {"protocol", "action"}
        problems = {name: ["Missing for this action."] for name in needed - given}
        problems |= {name: ["Not of this action."] for name in given - needed}
        if problems:
            raise ValidationError(problems)

    @post_load
    def _words(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {**data, "side": Side(data["side"])} if "side" in data else data
