"""The perps as HTTP shows them: every amount is a decimal in a string, in units of its token; rates are fractions."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from app.core.http.pages import page_schema
from app.core.http.schema import WholeString
from app.perps.types.health import Verdict
from app.perps.types.keeper import EXECUTE_ORDER, LIQUIDATE
from app.perps.types.orders import OrderKind, OrderStatus, Waits
from app.perps.types.positions import PositionStatus

ACTIONS = (LIQUIDATE, EXECUTE_ORDER)


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


class ConditionalOrderSchema(Schema):
    """An order that waits for a price, or has ended. An expired one is open until it is cancelled on chain."""

    protocol = fields.String()
    key = fields.String()
    market_id = fields.String()
    user_address = fields.String()
    kind = fields.String(validate=validate.OneOf(list(OrderKind)))
    side = fields.String(metadata={"description": "the position's"})
    waits = fields.String(
        validate=validate.OneOf(list(Waits)),
        metadata={"description": "for the price to be at the trigger or below, or at it or above"},
    )
    status = fields.String(validate=validate.OneOf(list(OrderStatus)))
    position = fields.String(
        allow_none=True, metadata={"description": "the position's key; null until an order has opened one"}
    )
    size = amount("in base; of a closing order: more than the position has means all of it")
    collateral = amount("held by the contract until it is executed")
    trigger_price = amount("quote a unit of base")
    acceptable_price = amount("a buyer's highest, a seller's lowest", allow_none=True)
    execution_fee = amount("what whoever executes it is paid, in quote")
    expires_at = fields.String(allow_none=True, metadata={"format": "date-time", "description": "null: never"})
    executed_price = amount("quote a unit of base", allow_none=True)
    executed_size = amount("in base", allow_none=True)
    keeper = fields.String(allow_none=True, metadata={"description": "who executed it"})
    created = fields.Nested(PlaceSchema)
    changed = fields.Nested(PlaceSchema)


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


class KeeperActionSchema(Schema):
    """A transaction that this deployment's keeper planned. The spans are decimals of seconds; a block's time is in
    whole seconds and the chain's own, so that it may lie before the broadcast.
    """

    intent_id = fields.String(metadata={"description": "of `/v1/transactions`"})
    protocol = fields.String()
    action = fields.String(validate=validate.OneOf(ACTIONS))
    key = fields.String(metadata={"description": "the position's or the order's"})
    market_id = fields.String()
    outcome = fields.String(
        allow_none=True, metadata={"description": "the transaction's last status; null: it has not ended"}
    )
    block_number = fields.Integer(allow_none=True)
    price_published_at = fields.String(metadata={"format": "date-time"})
    detected_at = fields.String(metadata={"format": "date-time"})
    planned_at = fields.String(metadata={"format": "date-time"})
    broadcast_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    included_at = fields.String(allow_none=True, metadata={"format": "date-time"})
    detection_seconds = amount("from the price's publishing to the detection")
    broadcast_seconds = amount("from there to the first broadcast", allow_none=True)
    inclusion_seconds = amount("from there to the block", allow_none=True)


MarketPage = page_schema(MarketSchema)
PositionPage = page_schema(PositionSchema)
ConditionalOrderPage = page_schema(ConditionalOrderSchema)
FundingRatePage = page_schema(FundingRateSchema)
KeeperActionPage = page_schema(KeeperActionSchema)
LiquidationPage = page_schema(LiquidationSchema)
PnlPage = page_schema(PnlEntrySchema)


class UpdatePriceSchema(Schema):
    """A price that the update data holds."""

    feed = fields.String()
    markets = fields.List(fields.String(), metadata={"description": "ids of the markets that asked for it"})
    price = amount("of the feed")
    confidence = amount("half the width of its interval")
    published_at = fields.String(metadata={"format": "date-time"})


class PriceUpdateSchema(Schema):
    """Signed update data for the protocol's price contract."""

    chain_id = fields.Integer()
    contract = fields.String(metadata={"description": "the price contract"})
    update_data = fields.List(
        fields.String(), metadata={"description": "for `updatePriceFeeds`, or a call that takes it"}
    )
    fee_wei = WholeString(metadata={"description": "what the contract takes for it"})
    prices = fields.List(fields.Nested(UpdatePriceSchema))


class BuiltCallSchema(Schema):
    """An unsigned call; who sends it adds gas, nonce and signature."""

    chain_id = fields.Integer()
    to = fields.String()
    data = fields.String()
    value_wei = WholeString(metadata={"description": "the update data's fee"})
    expires_at = fields.String(metadata={"format": "date-time", "description": "then its price is too old"})
    update = fields.Nested(PriceUpdateSchema)
