"""The perps over HTTP: filters, pages, cache headers, live health, and what bad input gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from app.core.errors import Unauthenticated
from app.core.http.principal import Credentials, Principal
from app.factory import create_app
from app.perps.jobs import EXECUTE_ORDERS, SCAN_LIQUIDATIONS
from app.perps.queries.gauges import GAUGES
from config.settings import Settings
from tests.contracts.exchange import NO_LIMIT_DOWN, STOP_LOSS, TAKE_PROFIT
from tests.perps.test_keeper import move
from tests.perps.venue import BTC, ETH, NAME, Venue

pytestmark = pytest.mark.chain

WHO = {
    "reader": Principal(id="user:reader", scopes=frozenset({"perps:read"}), method="session"),
    "worker": Principal(
        id="user:worker", scopes=frozenset({"jobs:read", "jobs:write", "perps:write"}), method="session"
    ),
}
Get = Callable[..., Any]


def authenticate(credentials: Credentials) -> Principal:
    """The token is the caller's name."""
    if credentials.bearer not in WHO:
        raise Unauthenticated()
    return WHO[credentials.bearer]


@pytest.fixture
def app(venue_settings: Settings, venue: Venue) -> Iterator[Flask]:
    """The API of the deployment; prices are read uncached, since the tests move them faster than any cache."""
    changed = venue_settings.model_copy(
        update={"oracle": venue_settings.oracle.model_copy(update={"cache_seconds": 0})}
    )
    app = create_app(changed, authenticate=authenticate)
    yield app
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture
def get(app: Flask) -> Get:
    """A GET as somebody."""
    client = app.test_client()

    def _get(path: str, who: str = "reader", **options: Any) -> Any:
        return client.get(path, headers={"Authorization": f"Bearer {who}", **options.pop("headers", {})}, **options)

    return _get


def test_markets(venue: Venue, get: Get) -> None:
    venue.open(True, "3", "30000")
    venue.open(False, "1", "10000")
    venue.index()
    answer = get("/v1/markets")
    assert [market["symbol"] for market in answer.json["data"]] == ["BTC-USD", "ETH-USD", "SOL-USD"]
    btc = answer.json["data"][0]
    assert (btc["protocol"], btc["market_id"], btc["max_leverage"]) == (NAME, BTC, "50")
    assert (btc["maintenance_margin_rate"], btc["liquidation_fee_rate"]) == ("0.01", "0.005")
    assert (btc["total_long"], btc["total_short"]) == ("3", "1")
    assert (btc["current_funding_rate"], btc["current_funding_rate_hourly"]) == ("0.00000001", "0.000036")
    assert (btc["price"], btc["price_reason"]) == ("60000", None)
    # Longs pay from the second of the last settlement on; on chain the index does not show it yet.
    assert Decimal(btc["provisional_funding"]["long_funding_index"]) >= Decimal(btc["long_funding_index"])
    assert answer.headers["Cache-Control"] == "private, max-age=1"
    (only,) = get("/v1/markets?symbol=ETH-USD").json["data"]
    assert only["market_id"] == ETH
    assert get(f"/v1/markets/{NAME}/{ETH}").json["symbol"] == "ETH-USD"
    page = get("/v1/markets?limit=2")
    assert page.headers["Link"].endswith('rel="next"')
    rest = get(f"/v1/markets?limit=2&cursor={page.json['next_cursor']}")
    assert ([one["symbol"] for one in rest.json["data"]], rest.json["has_more"]) == (["SOL-USD"], False)


def test_conditional_orders(venue: Venue, get: Get) -> None:
    long = venue.open(True, "2", "30000")
    stop = venue.place_closing(STOP_LOSS, long, "59000", size="1")
    entry = venue.place_limit(False, "61000")
    gone = venue.place_closing(TAKE_PROFIT, long, "61000")
    venue.cancel(gone)
    venue.index()
    answer = get("/v1/conditional-orders")
    assert [one["key"] for one in answer.json["data"]] == [gone, entry, stop]
    assert answer.headers["Cache-Control"] == "private, max-age=1"
    first = get("/v1/conditional-orders?limit=1")
    rest = get(f"/v1/conditional-orders?limit=2&cursor={first.json['next_cursor']}")
    assert [one["key"] for one in rest.json["data"]] == [entry, stop]
    for query, found in (
        ("status=open", [entry, stop]),
        ("status=cancelled", [gone]),
        ("kind=stop_loss", [stop]),
        (f"position={long}", [gone, stop]),
        (f"owner={venue.trader}&market=BTC-USD&protocol={NAME}", [gone, entry, stop]),
        ("market=ETH-USD", []),
    ):
        assert [one["key"] for one in get(f"/v1/conditional-orders?{query}").json["data"]] == found
    one = get(f"/v1/conditional-orders/{NAME}/{stop}").json
    assert (one["kind"], one["side"], one["waits"], one["status"]) == ("stop_loss", "long", "below", "open")
    assert (one["trigger_price"], one["size"], one["execution_fee"]) == ("59000", "1", "20")
    assert (one["position"], one["expires_at"], one["executed_price"]) == (long, None, None)
    assert get(f"/v1/conditional-orders/{NAME}/{entry}").json["position"] is None
    missing = get(f"/v1/conditional-orders/{NAME}/999")
    assert (missing.status_code, missing.json["code"]) == (404, "perps.order_not_found")
    refused = get("/v1/conditional-orders?kind=iceberg")
    assert refused.status_code == 422
    assert "kind" in str(refused.json["errors"])


def test_what_the_keeper_did_and_how_long_it_took(venue: Venue, get: Get) -> None:
    long, other = venue.open(True, "1", "1500"), venue.open(True, "1", "30000")
    stop = venue.place_closing(STOP_LOSS, other, "59500")
    venue.index()
    move(venue, "59000")
    venue.run(SCAN_LIQUIDATIONS)
    venue.run(EXECUTE_ORDERS)
    venue.settle()
    venue.run(SCAN_LIQUIDATIONS)
    answer = get("/v1/keeper-actions").json
    assert [(one["action"], one["key"]) for one in answer["data"]] == [("execute_order", stop), ("liquidate", long)]
    first = answer["data"][1]
    assert (first["protocol"], first["market_id"], first["outcome"]) == (NAME, BTC, "final")
    assert first["block_number"] == venue.rows("SELECT block_number FROM perps_liquidations")[0][0]
    assert Decimal(first["detection_seconds"]) > 0
    assert Decimal(first["broadcast_seconds"]) >= 0
    assert first["inclusion_seconds"] is not None
    (only,) = get("/v1/keeper-actions?action=liquidate").json["data"]
    assert only == first
    page = get("/v1/keeper-actions?limit=1").json
    (rest,) = get(f"/v1/keeper-actions?limit=1&cursor={page['next_cursor']}").json["data"]
    assert rest == first
    assert get("/v1/keeper-actions?action=dance").status_code == 422
    gauge = next(gauge for gauge in GAUGES if gauge.name == "watchkeeper_keeper_latency_seconds")
    found = {tuple(row[1:4]): row[4] for row in venue.rows(gauge.statement)}
    assert {key[1] for key in found} == {"detection", "broadcast", "inclusion", "total"}
    # In the answer it is cut to the millisecond.
    assert 0 <= found["liquidate", "detection", "0.5"] - Decimal(first["detection_seconds"]) < Decimal("0.001")


def test_positions_with_live_health(venue: Venue, get: Get) -> None:
    key = venue.open(True, "1", "1500")
    venue.index()
    found = get(f"/v1/positions/{NAME}/{key}").json
    assert (found["side"], found["status"], found["size"]) == ("long", "open", "1")
    # 1,500 less the fee of 0.05 % of 60,000.
    assert (found["collateral"], found["entry_price"], found["fees"]) == ("1470", "60000", "30")
    assert found["leverage"] == "40.816326530612244898"
    health = found["health"]
    assert (health["verdict"], health["equity"], health["maintenance_margin"]) == ("safe", "1470", "900")
    assert (health["health_factor"], health["price"]) == ("1.633333", "60000")
    assert health["liquidation_price"].startswith("59421.3197969543147")
    assert health["bankruptcy_price"] == "58530"
    assert (health["unrealized_pnl"], health["unsettled_funding"], found["health_reason"]) == ("0", "0", None)
    move(venue, "59000")
    health = get(f"/v1/positions/{NAME}/{key}").json["health"]
    assert (health["verdict"], health["equity"], health["unrealized_pnl"]) == ("certain", "470", "-1000")
    assert Decimal(health["health_factor"]) < 1


def test_what_every_event_did_to_money(venue: Venue, get: Get) -> None:
    kept, key = venue.open(True, "0.1", "1000"), venue.open(True, "1", "1500")
    move(venue, "60600")
    venue.act("close", int(key), NO_LIMIT_DOWN)
    venue.index()
    owner = venue.trader.lower()
    answer = get(f"/v1/pnl?owner={owner}")
    assert [one["position"] for one in answer.json["data"]] == [key, key, kept]
    closed, opened, _ = answer.json["data"]
    assert (closed["realized_pnl"], closed["fee"], closed["covered"]) == ("600", "30.3", "0")
    assert (opened["transfer"], opened["fee"], opened["position_pnl"]) == ("1500", "30", "-30")
    # What came in has gone out again, with what was won: of the account there is left what the other position holds.
    assert Decimal(closed["position_transfers"]) == -Decimal(closed["position_pnl"])
    assert Decimal(closed["account_transfers"]) + Decimal(closed["account_pnl"]) == Decimal("1000") - 3
    assert answer.headers["Cache-Control"] == "private, max-age=10"
    page = get(f"/v1/pnl?protocol={NAME}&position={key}&limit=1")
    assert [one["place"]["log_index"] for one in page.json["data"]] == [closed["place"]["log_index"]]
    rest = get(f"/v1/pnl?protocol={NAME}&position={key}&limit=1&cursor={page.json['next_cursor']}").json
    assert (rest["data"], rest["has_more"]) == ([opened], False)
    found = get(f"/v1/positions/{NAME}/{kept}").json
    assert (found["net_transfers"], found["collateral"], found["fees"]) == ("1000", "997", "3")
    assert get("/v1/pnl?owner=0x12").json["code"] == "core.invalid_input"


def test_no_usable_price_no_number(venue: Venue, get: Get) -> None:
    key = venue.open(True, "1", "1500")
    venue.index()
    move(venue, "60000", conf_bps=300)
    found = get(f"/v1/positions/{NAME}/{key}").json
    assert (found["health"], found["health_reason"]) == (None, "confidence_too_wide")
    market = get(f"/v1/markets/{NAME}/{BTC}").json
    assert (market["price"], market["price_reason"], market["provisional_funding"]) == (
        None,
        "confidence_too_wide",
        None,
    )
    venue.execute("UPDATE oracle_feeds SET publish_time = now() - interval '90 seconds', conf = 1")
    assert get(f"/v1/positions/{NAME}/{key}").json["health_reason"] == "stale"


def test_positions_by_owner_market_and_status(venue: Venue, get: Get) -> None:
    first = venue.open(True, "1", "1500")
    second = venue.open(True, "1", "200", market=ETH)
    third = venue.open(False, "1", "30000")
    venue.act("close", int(third), 2**256 - 1)
    venue.index()

    def keys(query: str) -> list[str]:
        return [position["key"] for position in get(f"/v1/positions?{query}").json["data"]]

    assert sorted(keys("")) == [first, second, third]
    assert sorted(keys("status=open")) == [first, second]
    assert keys("status=closed") == [third]
    assert keys("market=ETH-USD") == keys(f"market={ETH}&protocol={NAME}") == [second]
    assert sorted(keys(f"owner={venue.trader}")) == [first, second, third]
    assert keys(f"owner={venue.keeper}") == []
    ended = get(f"/v1/positions/{NAME}/{third}").json
    assert (ended["health"], ended["health_reason"], ended["exit_price"]) == (None, "ended", "60000")
    paged: list[str] = []
    cursor = ""
    while True:
        page = get(f"/v1/positions?limit=1{cursor}").json
        paged += [position["key"] for position in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert paged == keys("")


def test_settlements_and_liquidations(venue: Venue, get: Get) -> None:
    key = venue.open(True, "1", "1500")
    venue.open(False, "1", "30000")
    venue.index()
    move(venue, "59000")
    venue.run(SCAN_LIQUIDATIONS)
    venue.settle()
    (found,) = get(f"/v1/liquidations?owner={venue.trader}&market=BTC-USD").json["data"]
    assert (found["position"], found["side"], found["size"], found["price"]) == (key, "long", "1", "59000")
    assert (found["liquidator"], found["fee"]) == (venue.keeper.lower(), "295")
    assert found["place"]["transaction_hash"].startswith("0x")
    assert get(f"/v1/liquidations?liquidator={venue.trader}").json["data"] == []
    assert len(get(f"/v1/liquidations?position={key}&protocol={NAME}").json["data"]) == 1
    assert get("/v1/liquidations?to=2020-01-01T00:00:00Z").json["data"] == []
    assert get(f"/v1/positions/{NAME}/{key}").json["status"] == "liquidated"
    venue.rpc("evm_increaseTime", 5)
    venue.act("settle_funding", int(BTC))
    venue.index()
    path = f"/v1/funding-rates?market={BTC}&from=2020-01-01T00:00:00Z"
    answer = get(path)
    newest = answer.json["data"][0]
    assert (newest["market_id"], newest["funding_rate"], newest["long_oi"], newest["short_oi"]) == (BTC, "0", "0", "1")
    assert answer.headers["Cache-Control"] == "private, max-age=10"
    again = get(
        f"/v1/funding-rates?market={BTC}&from=2020-01-01T00:00:00Z", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert (again.status_code, again.data) == (304, b"")


BAD = {
    "/v1/positions?owner=0x12": (422, "core.invalid_input"),
    "/v1/positions?status=sold": (422, "core.invalid_input"),
    "/v1/positions?side=long": (422, "core.invalid_input"),
    "/v1/positions?limit=0": (422, "core.invalid_input"),
    "/v1/positions?cursor=nonsense": (422, "core.invalid_input"),
    "/v1/positions?market=a%00b": (422, "core.invalid_input"),
    "/v1/positions?market=DOGE-USD": (404, "perps.market_not_found"),
    f"/v1/positions/{NAME}/77": (404, "perps.position_not_found"),
    f"/v1/markets/{NAME}/77": (404, "perps.market_not_found"),
    "/v1/funding-rates?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z": (422, "core.invalid_input"),
    "/v1/liquidations?liquidator=me": (422, "core.invalid_input"),
}


def test_bad_input(get: Get) -> None:
    answers = {path: get(path) for path in BAD}
    assert {path: (answer.status_code, answer.json["code"]) for path, answer in answers.items()} == BAD


def test_reading_needs_its_scope(get: Get) -> None:
    assert get("/v1/positions", who="worker").status_code == 403
    assert get("/v1/positions", who="nobody").status_code == 401


def test_a_job_with_bad_parameters_is_not_taken(app: Flask, venue: Venue) -> None:
    bad: list[tuple[str, dict[str, Any]]] = [
        ("perps.check_health", {}),
        ("perps.check_health", {"protocol": NAME, "position": "1", "market": "1"}),
        ("perps.check_health", {"position": "1"}),
        ("perps.check_health", {"protocol": NAME, "account": "0x" + "11" * 20}),
        ("perps.check_health", {"account": "0x12"}),
        ("perps.settle_funding", {"market": "1"}),
        ("perps.settle_funding", {"protocol": 7}),
        ("perps.scan_liquidations", {"protocol": NAME, "deep": True}),
        ("perps.liquidate", {"protocol": NAME}),
        ("perps.liquidate", {"protocol": NAME, "position": ""}),
    ]
    client, before = app.test_client(), venue.rows("SELECT count(*) FROM jobs")
    for kind, params in bad:
        headers = {"Authorization": "Bearer worker", "Idempotency-Key": "one"}
        answer = client.post("/v1/jobs", json={"kind": kind, "params": params}, headers=headers)
        assert (answer.status_code, answer.json["code"]) == (422, "jobs.invalid_params"), (kind, params)
    assert venue.rows("SELECT count(*) FROM jobs") == before


def test_money_needs_a_key(app: Flask) -> None:
    body = {"kind": "perps.liquidate", "params": {"protocol": NAME, "position": "1"}}
    answer = app.test_client().post("/v1/jobs", json=body, headers={"Authorization": "Bearer worker"})
    assert (answer.status_code, answer.json["code"]) == (400, "jobs.idempotency_key_required")
