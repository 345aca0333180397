"""`/v1/markets`, `/v1/positions`, `/v1/conditional-orders`, `/v1/funding-rates`, `/v1/liquidations`, `/v1/pnl`,
`/v1/keeper-actions`: what the chain said, what it means now, what was done about it; `/v1/price-updates`,
`/v1/transactions/build`: what a trader's own transaction needs.
"""

from __future__ import annotations

from typing import Any

from flask import Response, current_app, jsonify, request
from marshmallow import Schema

from app.core.clock import utc_now
from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_principal, require
from app.core.http.limits import spend_limit
from app.core.http.pages import page_answer
from app.core.http.unit_of_work import current_session
from app.core.paging import Page
from app.perps.schemas import answers, asked
from app.perps.services import lists, shown
from app.perps.services.building import build_call, get_price_update
from app.perps.services.lists import Asked, Slice
from app.perps.services.parts import Building, Seeing
from app.perps.services.shown_calls import show_call, show_update
from app.perps.types.client import ClientAction, Order
from app.perps.types.orders import OrderKind, OrderStatus
from app.perps.types.positions import PositionStatus

PRICE_UPDATES = "price_updates"
"""The limit's name."""
LIVE_SECONDS = 1
HISTORY_SECONDS = 10

blueprint = Blueprint("perps", __name__, url_prefix="/v1", description="Perpetual markets and positions")
BLUEPRINTS = (blueprint,)


@blueprint.route("/markets", methods=["GET"])
@require("perps:read")
@blueprint.arguments(asked.MarketQuery, location="query")
@blueprint.response(200, answers.MarketPage)
def markets(query: dict[str, Any]) -> Response:
    """Markets with their terms, open interest, funding and price."""
    asked = Asked(protocol=query["protocol"], market=query["symbol"])
    page, views = lists.markets_page(current_session(), asked, _slice(query), seeing=_seeing(), now=utc_now())
    return _page(page, [shown.show_market(market, views) for market in page.items], LIVE_SECONDS)


@blueprint.route("/markets/<protocol>/<market_id>", methods=["GET"])
@require("perps:read")
@blueprint.response(200, answers.MarketSchema)
def market(protocol: str, market_id: str) -> Response:
    """One market."""
    found, views = lists.get_market(current_session(), protocol, market_id, seeing=_seeing(), now=utc_now())
    return _cached(jsonify(shown.show_market(found, views)), LIVE_SECONDS)


@blueprint.route("/positions", methods=["GET"])
@require("perps:read")
@blueprint.arguments(asked.PositionQuery, location="query")
@blueprint.response(200, answers.PositionPage)
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
@blueprint.response(200, answers.PositionSchema)
def position(protocol: str, key: str) -> Response:
    """One position."""
    found = lists.get_judged(current_session(), protocol, key, seeing=_seeing(), now=utc_now())
    return _cached(jsonify(shown.show_position(found)), LIVE_SECONDS)


@blueprint.route("/conditional-orders", methods=["GET"])
@require("perps:read")
@blueprint.arguments(asked.ConditionalOrderQuery, location="query")
@blueprint.response(200, answers.ConditionalOrderPage)
def orders(query: dict[str, Any]) -> Response:
    """Orders that wait for a price, and those that have ended, the newest first."""
    asked = Asked(
        protocol=query["protocol"],
        market=query["market"],
        owner=_bytes(query["owner"]),
        status=None if query["status"] is None else OrderStatus(query["status"]),
        kind=None if query["kind"] is None else OrderKind(query["kind"]),
        position=query["position"],
    )
    page = lists.orders_page(current_session(), asked, _slice(query), seeing=_seeing())
    return _page(page, [shown.show_order(one) for one in page.items], LIVE_SECONDS)


@blueprint.route("/conditional-orders/<protocol>/<key>", methods=["GET"])
@require("perps:read")
@blueprint.response(200, answers.ConditionalOrderSchema)
def order(protocol: str, key: str) -> Response:
    """One order."""
    found = lists.get_order(current_session(), protocol, key, seeing=_seeing())
    return _cached(jsonify(shown.show_order(found)), LIVE_SECONDS)


@blueprint.route("/funding-rates", methods=["GET"])
@require("perps:read")
@blueprint.arguments(asked.TimedQuery, location="query")
@blueprint.response(200, answers.FundingRatePage)
def funding_rates(query: dict[str, Any]) -> Response:
    """Settled funding, the newest first; what accrues meanwhile is the market's `provisional_funding`."""
    page = lists.funding_page(current_session(), _timed(query), _slice(query), seeing=_seeing())
    return _page(page, [shown.show_funding(row) for row in page.items], HISTORY_SECONDS)


@blueprint.route("/liquidations", methods=["GET"])
@require("perps:read")
@blueprint.arguments(asked.LiquidationQuery, location="query")
@blueprint.response(200, answers.LiquidationPage)
def liquidations(query: dict[str, Any]) -> Response:
    """Liquidations, the newest first, whoever sent them."""
    page = lists.liquidations_page(current_session(), _timed(query), _slice(query), seeing=_seeing())
    return _page(page, [shown.show_liquidation(one) for one in page.items], HISTORY_SECONDS)


@blueprint.route("/pnl", methods=["GET"])
@require("perps:read")
@blueprint.arguments(asked.PnlQuery, location="query")
@blueprint.response(200, answers.PnlPage)
def pnl(query: dict[str, Any]) -> Response:
    """What each event did to a position's and its owner's money, the newest first: profit, funding, fees and transfers
    apart, with what both have come to.
    """
    page = lists.pnl_page(current_session(), _timed(query), _slice(query), seeing=_seeing())
    return _page(page, [shown.show_entry(row) for row in page.items], HISTORY_SECONDS)


@blueprint.route("/keeper-actions", methods=["GET"])
@require("perps:read")
@blueprint.arguments(asked.KeeperActionQuery, location="query")
@blueprint.response(200, answers.KeeperActionPage)
def keeper_actions(query: dict[str, Any]) -> Response:
    """Transactions that this deployment's keeper planned, the newest first, and how long each step took."""
    page = lists.actions_page(current_session(), _slice(query), protocol=query["protocol"], action=query["action"])
    return _page(page, [shown.show_action(one) for one in page.items], LIVE_SECONDS)


@blueprint.route("/price-updates", methods=["GET"])
@require("perps:read")
@blueprint.arguments(asked.UpdateQuery, location="query")
@blueprint.response(200, answers.PriceUpdateSchema)
def price_updates(query: dict[str, Any]) -> Response:
    """Fresh signed update data of these markets' feeds for a transaction of one's own, and what the protocol's price
    contract takes for it.
    """
    spend_limit(PRICE_UPDATES, current_principal().id)
    found = get_price_update(current_session(), query["protocol"], query["market"], parts=_building())
    return _uncached(answers.PriceUpdateSchema(), show_update(found))


@blueprint.route("/transactions/build", methods=["POST"])
@require("perps:read")
@blueprint.arguments(asked.OrderSchema)
@blueprint.response(200, answers.BuiltCallSchema)
def build(body: dict[str, Any]) -> Response:
    """An unsigned call that opens or closes a position or changes its collateral, with fresh update data and its fee as
    the value. Nothing is sent or kept; the trader's wallet adds gas and signs.
    """
    spend_limit(PRICE_UPDATES, current_principal().id)
    order = Order(**{**body, "action": ClientAction(body["action"])})
    built = build_call(current_session(), order, parts=_building(), clock=utc_now)
    return _uncached(answers.BuiltCallSchema(), show_call(built))


def _building() -> Building:
    building: Building = current_app.extensions["perps_building"]
    return building


def _uncached(schema: Schema, view: dict[str, Any]) -> Response:
    answer = jsonify(schema.dump(view))
    answer.cache_control.no_store = True
    return answer


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
