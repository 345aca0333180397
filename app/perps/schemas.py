"""The perps as HTTP shows them: every amount is a decimal in a string, in units of its token; rates are fractions."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.core.http.pages import page_schema
from app.core.http.schema import Address, Text, Time, one_of
from app.core.paging import PageQuery
from app.perps.types.health import Verdict
from app.perps.types.positions import PositionStatus

NAME = validate.Length(1, 40)
KEY = validate.Length(1, 200)
MARKET = {"description": "a market's id, or its symbol"}


def amount(meaning: str, **options: Any) -> fields.String:
    """A decimal in a string."""
    return fields.String(metadata={"description": meaning}, **options)


class PlaceSchema(Schema):
    """Where in the chain something was said."""

    block_number = fields.Integer()
    block_hash = fields.String()
    transaction_hash = fields.String(allow_none=True)
    log_index = fields.Integer(allow_none=True, metadata={"description": "null: computed by ourselves"})
    at = fields.String(metadata={"format": "date-time"})


class ProvisionalFundingSchema(Schema):
    """The indexes as they would be, settled at `price`: now, or at `settles_at` where we settle ourselves."""

    funding_rate = amount("a second, by the present open interest")
    long_funding_index = amount("quote a unit of base")
    short_funding_index = amount("quote a unit of base")
    as_of = fields.String(metadata={"format": "date-time"})
    settles_at = fields.String(allow_none=True, metadata={"format": "date-time"})


class MarketSchema(Schema):
    """A market as the chain last told of it."""

    protocol = fields.String()
    market_id = fields.String()
    symbol = fields.String()
    base_token = fields.String()
    quote_token = fields.String()
    pyth_price_id = fields.String(allow_none=True)
    max_leverage = amount("times")
    maintenance_margin_rate = amount("of the notional")
    liquidation_fee_rate = amount("of the notional")
    open_fee_rate = amount("of the notional")
    close_fee_rate = amount("of the notional")
    total_long = amount("open interest, in base")
    total_short = amount("open interest, in base")
    current_funding_rate = amount("a second, of the notional; positive: longs pay")
    current_funding_rate_hourly = amount("the same an hour")
    last_funding_update = fields.String(metadata={"format": "date-time"})
    long_funding_index = amount("as last settled; quote a unit of base, owed since the start")
    short_funding_index = amount("the same for shorts")
    provisional_funding = fields.Nested(ProvisionalFundingSchema, allow_none=True)
    price = amount("null while there is none to judge margins by", allow_none=True)
    price_published_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    price_reason = fields.String(allow_none=True, metadata={"description": "why there is no price"})
    listed_at = fields.String(metadata={"format": "date-time"})


class PositionHealthSchema(Schema):
    """What a position is worth at `price`; the verdict holds over the price's whole confidence interval."""

    verdict = fields.String(validate=validate.OneOf(list(Verdict)))
    health_factor = amount("equity over the margin, rounded down; null: infinite", allow_none=True)
    equity = amount("collateral, profit and funding; negative: insolvent")
    maintenance_margin = amount("what equity must not fall below")
    unrealized_pnl = amount("by the price alone")
    unsettled_funding = amount("owed; negative: earned")
    liquidation_price = amount("at the present funding; null: no price endangers it", allow_none=True)
    bankruptcy_price = amount("where equity is nothing", allow_none=True)
    price = amount("of the feed")
    price_published_at = fields.String(metadata={"format": "date-time"})
    as_of = fields.String(metadata={"format": "date-time"})


class PositionSchema(Schema):
    """A position; one that has ended keeps the size and collateral it had then."""

    protocol = fields.String()
    key = fields.String()
    market_id = fields.String()
    user_address = fields.String()
    side = fields.String()
    status = fields.String(validate=validate.OneOf(list(PositionStatus)))
    size = amount("in base")
    collateral = amount("in quote; null under cross margin", allow_none=True)
    leverage = amount("notional at entry over collateral", allow_none=True)
    entry_price = amount("quote a unit of base")
    exit_price = amount("quote a unit of base", allow_none=True)
    realized_pnl = amount("by prices alone")
    accumulated_funding = amount("settled with the trader; negative: earned")
    fees = amount("paid to the protocol and the liquidator")
    net_transfers = amount("what its owner has paid in, less what was taken out")
    opened = fields.Nested(PlaceSchema)
    changed = fields.Nested(PlaceSchema)
    health = fields.Nested(PositionHealthSchema, allow_none=True)
    health_reason = fields.String(
        allow_none=True,
        metadata={"description": "`ended`, `cross_margin`, or what is wrong with the price"},
    )


class FundingRateSchema(Schema):
    """A settlement of a market's funding, by the rate of a second."""

    protocol = fields.String()
    market_id = fields.String()
    funding_rate = amount("a second, of the notional; positive: longs pay")
    funding_rate_hourly = amount("the same an hour")
    long_funding_index = amount("after it")
    short_funding_index = amount("after it")
    long_oi = amount("the open interest it was computed from", allow_none=True)
    short_oi = amount("the open interest it was computed from", allow_none=True)
    price = amount("the price it was settled at")
    elapsed_seconds = fields.Integer()
    settled_at = fields.String(metadata={"format": "date-time"})
    place = fields.Nested(PlaceSchema)


class LiquidationSchema(Schema):
    """A liquidation, whoever sent it."""

    protocol = fields.String()
    position = fields.String(metadata={"description": "the position's key"})
    market_id = fields.String()
    user_address = fields.String()
    side = fields.String()
    size = amount("in base")
    liquidator = fields.String()
    price = amount("quote a unit of base")
    fee = amount("the liquidator's bonus, in quote")
    realized_pnl = amount("by prices alone")
    funding_paid = amount("negative: earned")
    bad_debt = amount("what equity lacked below nothing")
    insurance_paid = amount("taken from the insurance for bonus and bad debt")
    place = fields.Nested(PlaceSchema)


class PnlEntrySchema(Schema):
    """What one event did to money. For a position and for an account, at every entry, what is held equals transfers and
    PnL together; an open position's profit since its entry is in its health.
    """

    protocol = fields.String()
    position = fields.String(allow_none=True, metadata={"description": "null: the account's own collateral"})
    market_id = fields.String(allow_none=True)
    user_address = fields.String()
    realized_pnl = amount("by prices alone")
    funding_paid = amount("negative: earned")
    fee = amount("in quote")
    transfer = amount("paid in; negative: taken out")
    covered = amount("what others bore of a loss beyond what was held")
    position_pnl = amount("all that the position has won, with this", allow_none=True)
    position_transfers = amount("all that was paid into it, with this", allow_none=True)
    account_pnl = amount("all that its owner has won in the protocol, with this")
    account_transfers = amount("all that its owner has paid into the protocol, with this")
    place = fields.Nested(PlaceSchema)


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


class LiquidationQuery(TimedQuery):
    """Which liquidations."""

    owner = Address(load_default=None)
    liquidator = Address(load_default=None)
    position = Text(load_default=None, validate=KEY, metadata={"description": "a position's key"})


class PnlQuery(TimedQuery):
    """Whose."""

    owner = Address(load_default=None)
    position = Text(load_default=None, validate=KEY, metadata={"description": "a position's key"})


MarketPage = page_schema(MarketSchema)
PositionPage = page_schema(PositionSchema)
FundingRatePage = page_schema(FundingRateSchema)
LiquidationPage = page_schema(LiquidationSchema)
PnlPage = page_schema(PnlEntrySchema)
