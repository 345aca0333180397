"""Prices as HTTP shows them: decimals in strings beside the exact integers that were signed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from app.core.http.pages import page_schema
from app.core.http.schema import DecimalString, Hash32, StrictSchema, Text, Time, WholeString
from app.core.paging import PageQuery
from app.oracle.maths.price import WAD_DIGITS, as_decimal, confidence_bps
from app.oracle.types.prices import Action, Candle, Interval, Price, Quote, Validity
from app.oracle.types.sources import Aggregate, Candidate, Flaw, NoPrice
from app.oracle.types.updates import Window

MAX_NAMES = 100
FIRST = datetime(1970, 1, 1, tzinfo=UTC)


class SignedSchema(StrictSchema):
    """What the publishers signed: value = integer · 10^expo."""

    price = WholeString()
    conf = WholeString()
    ema_price = WholeString()
    ema_conf = WholeString()
    expo = fields.Integer()
    slot = WholeString(metadata={"description": "the slot of the signed root"})
    sequence = WholeString(metadata={"description": "the sequence number of the signed message"})


class PriceSchema(Schema):
    """A verified price: the true one lies within `confidence` of it. `ema_` is the source's moving average."""

    price = DecimalString()
    confidence = DecimalString()
    confidence_bps = fields.Integer(
        allow_none=True, metadata={"description": "rounded up; null for a price that is not positive"}
    )
    ema_price = DecimalString()
    ema_confidence = DecimalString()
    publish_time = Time()
    signed = fields.Nested(SignedSchema)


class QuoteSchema(Schema):
    """A feed's latest price, with what it is good for at `as_of`."""

    feed = fields.String(metadata={"description": "0x and 64 hexadecimal digits"})
    symbol = fields.String()
    source = fields.String()
    price = fields.Nested(PriceSchema, allow_none=True)
    validity = fields.Dict(
        keys=fields.String(validate=validate.OneOf(list(Action))),
        values=fields.String(validate=validate.OneOf(list(Validity))),
        metadata={"description": "for each action `fresh`, or why the price may not be used for it"},
    )
    as_of = Time()


class SourceSchema(Schema):
    """What one source said, and whether it counted."""

    source = fields.String()
    price = DecimalString(allow_none=True)
    confidence = DecimalString(allow_none=True)
    observed_at = Time(allow_none=True)
    heartbeat_seconds = fields.Integer()
    weight = fields.Integer()
    used = fields.Boolean()
    flaw = fields.String(
        allow_none=True,
        validate=validate.OneOf(list(Flaw)),
        metadata={"description": "why it was left out; of a price that was used, why there is no newer one"},
    )


class AggregateSchema(Schema):
    """What all sources of a symbol come to at `as_of`: a price, or the reason why there is none."""

    price = DecimalString(allow_none=True)
    confidence = DecimalString(allow_none=True)
    reason = fields.String(allow_none=True, validate=validate.OneOf(list(NoPrice)))
    average = DecimalString(allow_none=True, metadata={"description": "exponential moving average of the good prices"})
    as_of = Time()
    sources = fields.List(fields.Nested(SourceSchema))


class DetailSchema(Schema):
    """A symbol's own feed, and its aggregate; either may be null."""

    quote = fields.Nested(QuoteSchema, allow_none=True)
    aggregate = fields.Nested(AggregateSchema, allow_none=True)


class QuoteQuery(PageQuery):
    """Which feeds; all of them when none are named."""

    symbol = fields.List(Text(validate=validate.Length(1, 100)), validate=validate.Length(max=MAX_NAMES))
    feed = fields.List(Hash32(), validate=validate.Length(max=MAX_NAMES))


class _Stretch(StrictSchema):
    end = Time(data_key="to", load_default=None)

    @validates_schema
    def _ends_after_it_starts(self, data: dict[str, Any], **_: Any) -> None:
        if data["end"] is not None and data["start"] is not None and data["end"] < data["start"]:
            raise ValidationError("Before `from`.", "to")


class HistoryQuery(_Stretch, PageQuery):
    """Which stretch: from ≤ publish time < to."""

    start = Time(data_key="from", load_default=FIRST)


class StretchQuery(_Stretch):
    """Which stretch: from ≤ time < to; `from` is an hour before `to` when left out."""

    start = Time(data_key="from", load_default=None)


class CandleQuery(HistoryQuery):
    """How long a candle lasts, and which stretch: from ≤ opened_at < to."""

    interval = Text(load_default=Interval.ONE_MINUTE, validate=validate.OneOf(list(Interval)))


class CandleSchema(Schema):
    """The prices of one interval, which is closed at its beginning and open at its end."""

    opened_at = Time()
    closes_at = Time()
    open = DecimalString()
    high = DecimalString()
    low = DecimalString()
    close = DecimalString()
    ticks = fields.Integer(metadata={"description": "how many recorded prices fell into it"})
    final = fields.Boolean(metadata={"description": "it is over, and no late price can change it any more"})


class AverageSchema(Schema):
    """A time-weighted average, rounded down to eighteen decimals."""

    average = DecimalString()
    prices = fields.Integer(metadata={"description": "of how many prices it is made"})
    start = Time(data_key="from")
    end = Time(data_key="to")


QuotePage = page_schema(QuoteSchema)
PricePage = page_schema(PriceSchema)
CandlePage = page_schema(CandleSchema)


def price_view(price: Price) -> dict[str, Any]:
    """A price as PriceSchema dumps it."""

    def scaled(value: int) -> Decimal:
        return as_decimal(value, price.expo)

    return {
        "price": scaled(price.price),
        "confidence": scaled(price.conf),
        "confidence_bps": confidence_bps(price.price, price.conf) if price.price > 0 else None,
        "ema_price": scaled(price.ema_price),
        "ema_confidence": scaled(price.ema_conf),
        "publish_time": price.publish_time,
        "signed": price,
    }


def quote_view(quote: Quote) -> dict[str, Any]:
    """A quote as QuoteSchema dumps it."""
    return {
        "feed": "0x" + quote.feed.id.hex(),
        "symbol": quote.feed.symbol,
        "source": quote.feed.source,
        "price": None if quote.price is None else price_view(quote.price),
        "validity": {str(action): str(verdict) for action, verdict in quote.validity.items()},
        "as_of": quote.as_of,
    }


def detail_view(quote: Quote | None, aggregate: Aggregate | None) -> dict[str, Any]:
    """A symbol as DetailSchema dumps it."""
    return {
        "quote": None if quote is None else quote_view(quote),
        "aggregate": None
        if aggregate is None
        else {
            "price": _from_wad(aggregate.price_wad),
            "confidence": _from_wad(aggregate.confidence_wad),
            "reason": aggregate.reason,
            "average": _from_wad(aggregate.state.ema_wad),
            "as_of": aggregate.as_of,
            "sources": [_source_view(one) for one in aggregate.sources],
        },
    }


def _source_view(one: Candidate) -> dict[str, Any]:
    return {
        "source": one.source,
        "price": _from_wad(one.price_wad),
        "confidence": None if one.price_wad is None else _from_wad(one.confidence_wad),
        "observed_at": one.observed_at,
        "heartbeat_seconds": one.heartbeat_seconds,
        "weight": one.weight,
        "used": one.used,
        "flaw": one.flaw,
    }


def _from_wad(value: int | None) -> Decimal | None:
    return None if value is None else as_decimal(value, -WAD_DIGITS)


def candle_view(candle: Candle, interval: Interval, window: Window, now: datetime) -> dict[str, Any]:
    """A candle as CandleSchema dumps it."""
    closes_at = candle.opened_at + timedelta(seconds=interval.seconds)
    return {
        "opened_at": candle.opened_at,
        "closes_at": closes_at,
        "open": candle.open,
        "high": candle.high,
        "low": candle.low,
        "close": candle.close,
        "ticks": candle.ticks,
        "final": now - closes_at > timedelta(seconds=window.max_age_seconds),
    }


def average_view(average_wad: int, prices: int, start: datetime, end: datetime) -> dict[str, Any]:
    """An average as AverageSchema dumps it."""
    return {"average": as_decimal(average_wad, -WAD_DIGITS), "prices": prices, "start": start, "end": end}
