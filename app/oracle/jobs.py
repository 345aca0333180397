"""The oracle's job kinds."""

from __future__ import annotations

from marshmallow import fields, validate

from app.core.http.schema import StrictSchema, Text
from app.jobs.types import JobKind, Queue

MAX_FEEDS = 500


class RefreshPricesParams(StrictSchema):
    """Which feeds: by symbol or id; all that are followed when none are named."""

    feeds = fields.List(
        Text(validate=validate.Length(1, 100)),
        load_default=None,
        validate=validate.Length(1, MAX_FEEDS),
        metadata={"description": "symbols like `BTC/USD`, or ids as 0x and 64 hexadecimal digits"},
    )


REFRESH_PRICES = JobKind(
    name="oracle.refresh_prices",
    summary="Fetch the latest prices from their source, verify who signed them, and record what is new.",
    params=RefreshPricesParams,
    queue=Queue.ORACLE,
    scope="oracle:write",
    timeout_seconds=60,
    max_attempts=3,
    backoff_seconds=1.0,
    backoff_cap_seconds=10.0,
    # Named feeds may be refreshed beside the scheduled round: recording takes whatever is newer.
    overlap_key=lambda params: None if params.get("feeds") else "oracle.refresh_prices",
)


class NoParams(StrictSchema):
    """Nothing to say."""


AGGREGATE_PRICES = JobKind(
    name="oracle.aggregate_prices",
    summary="Ask Chainlink and the exchanges, and make one price a symbol of all sources, Pyth's among them.",
    params=NoParams,
    queue=Queue.ORACLE,
    scope="oracle:write",
    timeout_seconds=60,
    max_attempts=3,
    backoff_seconds=1.0,
    backoff_cap_seconds=10.0,
    overlap_key=lambda params: "oracle.aggregate_prices",
)

MENU = (REFRESH_PRICES, AGGREGATE_PRICES)
