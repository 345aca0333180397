"""`/v1/markets`, `/v1/positions`, `/v1/funding-rates`, `/v1/liquidations`, `/v1/pnl`: what the chain said, and what
it means now.
"""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, jsonify, request

from app.core.clock import utc_now
from app.core.http.blueprint import Blueprint
from app.core.http.guard import require
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import current_session
from app.core.paging import Page
from app.perps import schemas
from app.perps.services import lists, shown
from app.perps.services.lists import Asked, Slice
from app.perps.services.parts import Seeing
from app.perps.types.positions import PositionStatus

LIVE_SECONDS = 1
HISTORY_SECONDS = 10

blueprint = Blueprint("perps", __name__, url_prefix="/v1", description="Perpetual markets and positions")
BLUEPRINTS = (blueprint,)


@blueprint.route("/markets", methods=["GET"])
@require("perps:read")
@blueprint.arguments(schemas.MarketQuery, location="query")
@blueprint.response(200, schemas.MarketPage)
def markets(query: dict[str, Any]) -> Response:
    """Markets with their terms, open interest, funding and price."""
    asked = Asked(protocol=query["protocol"], market=query["symbol"])
    page, views = lists.markets_page(current_session(), asked, _slice(query), seeing=_seeing(), now=utc_now())
    return _page(page, [shown.show_market(market, views) for market in page.items], LIVE_SECONDS)


@blueprint.route("/markets/<protocol>/<market_id>", methods=["GET"])
@require("perps:read")
@blueprint.response(200, schemas.MarketSchema)
def market(protocol: str, market_id: str) -> Response:
    """One market."""
    found, views = lists.get_market(current_session(), protocol, market_id, seeing=_seeing(), now=utc_now())
    return _cached(jsonify(shown.show_market(found, views)), LIVE_SECONDS)


@blueprint.route("/positions", methods=["GET"])
@require("perps:read")
@blueprint.arguments(schemas.PositionQuery, location="query")
@blueprint.response(200, schemas.PositionPage)
def positions(query: dict[str, Any]) -> Response:
    """Positions, the newest first, with live health and liquidation price.

    Where there is no price fit to judge margins by, `health` is null and `health_reason` says why.
    """
    status = query["status"]
    asked = Asked(
        protocol=query["protocol"],
        market=query["market"],
        owner=_bytes(query["owner"]),
        status=None if status is None else PositionStatus(status),
    )
    page = lists.positions_page(current_session(), asked, _slice(query), seeing=_seeing(), now=utc_now())
    return _page(page, [shown.show_position(one) for one in page.items], LIVE_SECONDS)


@blueprint.route("/positions/<protocol>/<key>", methods=["GET"])
@require("perps:read")
@blueprint.response(200, schemas.PositionSchema)
def position(protocol: str, key: str) -> Response:
    """One position."""
    found = lists.get_judged(current_session(), protocol, key, seeing=_seeing(), now=utc_now())
    return _cached(jsonify(shown.show_position(found)), LIVE_SECONDS)


@blueprint.route("/funding-rates", methods=["GET"])
@require("perps:read")
@blueprint.arguments(schemas.TimedQuery, location="query")
@blueprint.response(200, schemas.FundingRatePage)
def funding_rates(query: dict[str, Any]) -> Response:
    """Settled funding, the newest first; what accrues meanwhile is the market's `provisional_funding`."""
    page = lists.funding_page(current_session(), _timed(query), _slice(query))
    return _page(page, [shown.show_funding(row) for row in page.items], HISTORY_SECONDS)


@blueprint.route("/liquidations", methods=["GET"])
@require("perps:read")
@blueprint.arguments(schemas.LiquidationQuery, location="query")
@blueprint.response(200, schemas.LiquidationPage)
def liquidations(query: dict[str, Any]) -> Response:
    """Liquidations, the newest first, whoever sent them."""
    page = lists.liquidations_page(current_session(), _timed(query), _slice(query))
    return _page(page, [shown.show_liquidation(one) for one in page.items], HISTORY_SECONDS)


@blueprint.route("/pnl", methods=["GET"])
@require("perps:read")
@blueprint.arguments(schemas.PnlQuery, location="query")
@blueprint.response(200, schemas.PnlPage)
def pnl(query: dict[str, Any]) -> Response:
    """What each event did to a position's and its owner's money, the newest first: profit, funding, fees and transfers
    apart, with what both have come to.
    """
    page = lists.pnl_page(current_session(), _timed(query), _slice(query))
    return _page(page, [shown.show_entry(row) for row in page.items], HISTORY_SECONDS)


def _seeing() -> Seeing:
    seeing: Seeing = current_app.extensions["perps"]
    return seeing


def _slice(query: dict[str, Any]) -> Slice:
    return Slice(query["cursor"], query["limit"])


def _timed(query: dict[str, Any]) -> Asked:
    return Asked(
        protocol=query["protocol"],
        market=query["market"],
        owner=_bytes(query.get("owner")),
        liquidator=_bytes(query.get("liquidator")),
        position=query.get("position"),
        start=query["start"],
        end=query["end"],
    )


def _bytes(address: str | None) -> bytes | None:
    return None if address is None else bytes.fromhex(address[2:])


def _page(page: Page[Any], views: list[dict[str, Any]], max_age_seconds: int) -> Response:
    body, headers = page_answer(page)
    answer = jsonify(body | {"data": views})
    answer.headers.update(headers)
    return _cached(answer, max_age_seconds)


def _cached(answer: Response, max_age_seconds: int) -> Response:
    """Each reader's own, for so long; after that an unchanged answer costs a 304."""
    answer.cache_control.private = True
    answer.cache_control.max_age = max_age_seconds
    answer.add_etag()
    answer.make_conditional(request)
    return answer
