"""What a protocol file can say about a contract's events: their effects, and the fields each effect is read from.

The words are fixed, so that no code knows a contract by name; a file gives the contract's own names for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Effect(StrEnum):
    """What an event does: to a market (list it or change its terms), to a position, to a market's funding, or to an
    account of cross margin, or to an order that waits for a price.

    A trade moves a signed size, and opens, turns or closes the position by that. A premium is a settlement that says
    the two prices that the funding follows from.
    """

    MARKET = "market"
    OPEN = "open"
    TRADE = "trade"
    CHANGE = "change"
    COLLATERAL = "collateral"
    CLOSE = "close"
    LIQUIDATE = "liquidate"
    FUNDING = "funding"
    PREMIUM = "premium"
    ACCOUNT = "account"
    ORDER_CREATED = "order_created"
    ORDER_CANCELLED = "order_cancelled"
    ORDER_EXECUTED = "order_executed"


ORDER_EFFECTS = frozenset({Effect.ORDER_CREATED, Effect.ORDER_CANCELLED, Effect.ORDER_EXECUTED})


class Mode(StrEnum):
    """Is an event's size or collateral what the position has now, or what is added to it?"""

    ABSOLUTE = "absolute"
    DELTA = "delta"


class MarginKind(StrEnum):
    """Whose collateral stands behind a position: its own, or the account's."""

    ISOLATED = "isolated"
    CROSS = "cross"


class Kind(StrEnum):
    """How a field's value is read. The first four are numbers, each with the file's own decimals."""

    SIZE = "size"
    PRICE = "price"
    QUOTE = "quote"
    RATE = "rate"
    COUNT = "count"
    TIME = "time"
    TEXT = "text"
    ADDRESS = "address"
    SIDE = "side"
    ORDER_KIND = "order_kind"
    EXPIRY = "expiry"


NUMBERS = (Kind.SIZE, Kind.PRICE, Kind.QUOTE, Kind.RATE)

KINDS: Mapping[str, Kind] = {
    "symbol": Kind.TEXT,
    "base_token": Kind.TEXT,
    "quote_token": Kind.TEXT,
    "max_leverage": Kind.RATE,
    "maintenance_margin_rate": Kind.RATE,
    "liquidation_fee_rate": Kind.RATE,
    "open_fee_rate": Kind.RATE,
    "close_fee_rate": Kind.RATE,
    "funding_factor_per_second": Kind.RATE,
    "max_funding_rate_per_second": Kind.RATE,
    "max_price_age_seconds": Kind.COUNT,
    "max_confidence_bps": Kind.COUNT,
    "owner": Kind.ADDRESS,
    "side": Kind.SIDE,
    "size": Kind.SIZE,
    "notional": Kind.QUOTE,
    "open_notional": Kind.QUOTE,
    "collateral": Kind.QUOTE,
    "entry_price": Kind.PRICE,
    "exit_price": Kind.PRICE,
    "entry_funding_index": Kind.PRICE,
    "realized_pnl": Kind.QUOTE,
    "funding_paid": Kind.QUOTE,
    "fee": Kind.QUOTE,
    "liquidator": Kind.ADDRESS,
    "bad_debt": Kind.QUOTE,
    "insurance_paid": Kind.QUOTE,
    "rate_per_second": Kind.RATE,
    "long_index": Kind.PRICE,
    "short_index": Kind.PRICE,
    "long_open_interest": Kind.SIZE,
    "short_open_interest": Kind.SIZE,
    "price": Kind.PRICE,
    "market_price": Kind.PRICE,
    "elapsed_seconds": Kind.COUNT,
    "settled_at": Kind.TIME,
    "transfer": Kind.QUOTE,
    "order_kind": Kind.ORDER_KIND,
    "trigger_price": Kind.PRICE,
    "acceptable_price": Kind.PRICE,
    "execution_fee": Kind.QUOTE,
    "expires_at": Kind.EXPIRY,
    "keeper": Kind.ADDRESS,
}


# A number beyond any column's means that there is no such limit.
LIMITS = frozenset({"acceptable_price"})


@dataclass(frozen=True, slots=True)
class EffectFields:
    """The fields that an event of an effect must have, and those that it may have."""

    required: frozenset[str]
    optional: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        """All of them."""
        return self.required | self.optional


TERMS = frozenset(
    {
        "symbol",
        "base_token",
        "quote_token",
        "max_leverage",
        "maintenance_margin_rate",
        "liquidation_fee_rate",
        "open_fee_rate",
        "close_fee_rate",
        "funding_factor_per_second",
        "max_funding_rate_per_second",
        "max_price_age_seconds",
        "max_confidence_bps",
    }
)
_PAYMENTS = frozenset({"realized_pnl", "funding_paid", "fee"})

FIELDS: Mapping[Effect, EffectFields] = {
    Effect.MARKET: EffectFields(frozenset(), TERMS),
    Effect.OPEN: EffectFields(
        frozenset({"owner", "side", "size", "entry_price"}), _PAYMENTS | {"collateral", "entry_funding_index"}
    ),
    Effect.TRADE: EffectFields(
        frozenset({"owner", "size", "notional", "open_notional"}), frozenset({"realized_pnl", "fee"})
    ),
    Effect.CHANGE: EffectFields(
        frozenset(), _PAYMENTS | {"side", "size", "price", "collateral", "entry_price", "entry_funding_index"}
    ),
    Effect.COLLATERAL: EffectFields(frozenset({"collateral"}), _PAYMENTS),
    Effect.CLOSE: EffectFields(frozenset({"exit_price"}), _PAYMENTS | {"size", "collateral"}),
    Effect.LIQUIDATE: EffectFields(
        frozenset({"liquidator"}), _PAYMENTS | {"exit_price", "size", "notional", "bad_debt", "insurance_paid"}
    ),
    Effect.ACCOUNT: EffectFields(frozenset({"owner"}), frozenset({"transfer", "realized_pnl"})),
    Effect.PREMIUM: EffectFields(frozenset({"market_price", "price"})),
    Effect.FUNDING: EffectFields(
        frozenset({"rate_per_second", "long_index", "short_index", "price", "elapsed_seconds", "settled_at"}),
        frozenset({"long_open_interest", "short_open_interest"}),
    ),
    Effect.ORDER_CREATED: EffectFields(
        frozenset({"owner", "order_kind", "side", "size", "trigger_price"}),
        frozenset({"collateral", "acceptable_price", "execution_fee", "expires_at"}),
    ),
    Effect.ORDER_CANCELLED: EffectFields(frozenset()),
    Effect.ORDER_EXECUTED: EffectFields(frozenset({"price"}), frozenset({"size", "keeper", "execution_fee"})),
}
