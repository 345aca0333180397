"""`/v1/prices`: the latest prices with their validity, and the history of one feed; `/v1/candles`."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import Response, current_app, jsonify, request
from marshmallow import Schema

from app.core.clock import utc_now
from app.core.http.blueprint import Blueprint
from app.core.http.guard import require
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import current_session
from app.core.paging import Page
from app.oracle import schemas
from app.oracle.adapters import OracleParts
from app.oracle.services.history import list_candles, list_history, time_weighted_average
from app.oracle.services.read import get_detail, list_quotes
from app.oracle.types.prices import Interval

AVERAGED = timedelta(hours=1)
LATEST_SECONDS = 1
HISTORY_SECONDS = 10

blueprint = Blueprint("prices", __name__, url_prefix="/v1/prices", description="Verified prices")
candles_blueprint = Blueprint("candles", __name__, url_prefix="/v1/candles", description="Candles of verified prices")
BLUEPRINTS = (blueprint, candles_blueprint)


@blueprint.route("", methods=["GET"])
@require("oracle:read")
@blueprint.arguments(schemas.QuoteQuery, location="query")
@blueprint.response(200, schemas.QuotePage)
def latest(query: dict[str, Any]) -> Response:
    """The latest prices by symbol, each with what it is good for: `open`, `margin`, `liquidate`, `funding`.

    A price may be up to ten seconds behind the newest recorded one; its validity is judged now, by its own time.
    """
    names = [*query.get("symbol", ()), *query.get("feed", ())]
    parts: OracleParts = current_app.extensions["oracle"]
    page = list_quotes(
        current_session(),
        rules=parts.rules,
        now=utc_now(),
        cache=parts.cache,
        names=names or None,
        cursor=query["cursor"],
        limit=query["limit"],
    )
    return _answer(page, schemas.QuoteSchema(), [schemas.quote_view(quote) for quote in page.items], LATEST_SECONDS)


@blueprint.route("/<path:name>", methods=["GET"])
@require("oracle:read")
@blueprint.response(200, schemas.DetailSchema)
def detail(name: str) -> Response:
    """One symbol: the latest price of its feed with what it is good for, and what all its sources come to: each with
    its price and weight, or why it was left out.
    """
    parts: OracleParts = current_app.extensions["oracle"]
    found, aggregate = get_detail(current_session(), name, rules=parts.rules, now=utc_now(), cache=parts.cache)
    answer = jsonify(schemas.DetailSchema().dump(schemas.detail_view(found, aggregate)))
    answer.cache_control.private = True
    answer.cache_control.max_age = LATEST_SECONDS
    return answer


@blueprint.route("/<path:name>/history", methods=["GET"])
@require("oracle:read")
@blueprint.arguments(schemas.HistoryQuery, location="query")
@blueprint.response(200, schemas.PricePage)
def history(query: dict[str, Any], name: str) -> Response:
    """The recorded prices of the feed called `name` (symbol or id), newest first."""
    page = list_history(
        current_session(),
        name,
        start=query["start"],
        end=query["end"] or utc_now(),
        cursor=query["cursor"],
        limit=query["limit"],
    )
    views = [schemas.price_view(price) for price in page.items]
    answer = _answer(page, schemas.PriceSchema(), views, HISTORY_SECONDS)
    answer.add_etag()
    answer.make_conditional(request)
    return answer


@blueprint.route("/<path:name>/average", methods=["GET"])
@require("oracle:read")
@blueprint.arguments(schemas.StretchQuery, location="query")
@blueprint.response(200, schemas.AverageSchema)
def average(query: dict[str, Any], name: str) -> Response:
    """The time-weighted average of the feed called `name`: each price weighs as long as it held between `from` and
    `to`; the last hour, when nothing is said.
    """
    end = query["end"] or utc_now()
    start = query["start"] or end - AVERAGED
    wad, prices = time_weighted_average(current_session(), name, start=start, end=end)
    answer = jsonify(schemas.AverageSchema().dump(schemas.average_view(wad, prices, start, end)))
    answer.cache_control.private = True
    answer.cache_control.max_age = LATEST_SECONDS
    return answer


@candles_blueprint.route("/<path:name>", methods=["GET"])
@require("oracle:read")
@candles_blueprint.arguments(schemas.CandleQuery, location="query")
@candles_blueprint.response(200, schemas.CandlePage)
def candles(query: dict[str, Any], name: str) -> Response:
    """The candles of the feed called `name` (symbol or id), newest first. The newest one goes on while its time lasts;
    an interval without a price has none.
    """
    now, interval = utc_now(), Interval(query["interval"])
    page = list_candles(
        current_session(),
        name,
        interval,
        start=query["start"],
        end=query["end"] or now,
        cursor=query["cursor"],
        limit=query["limit"],
    )
    parts: OracleParts = current_app.extensions["oracle"]
    views = [schemas.candle_view(candle, interval, parts.window, now) for candle in page.items]
    return _answer(page, schemas.CandleSchema(), views, LATEST_SECONDS)


def _answer(page: Page[Any], schema: Schema, views: list[dict[str, Any]], max_age: int) -> Response:
    body, headers = page_answer(page)
    answer = jsonify(body | {"data": schema.dump(views, many=True)})
    answer.headers.update(headers)
    answer.cache_control.private = True
    answer.cache_control.max_age = max_age
    return answer
