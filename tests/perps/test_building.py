"""A trader's own transactions, filled in over HTTP and sent as they are: what the chain then does is what was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
import requests
from flask import Flask

from app.core.errors import InvalidInput
from app.core.http.principal import Principal
from app.factory import create_app
from app.perps.services.building import to_units
from config.settings import Settings
from contracts.markets import MAJOR, WAD
from contracts.price_server import PriceServer
from tests.perps.venue import BTC, GAS, NAME, Venue

pytestmark = pytest.mark.chain

TRADER = Principal(id="user:trader", scopes=frozenset({"perps:read"}), method="session")
OPEN = {
    "protocol": NAME,
    "action": "open",
    "market": "BTC-USD",
    "side": "long",
    "size": "0.5",
    "collateral": "6000.25",
    "price_limit": "60100",
}
Build = Callable[..., Any]


@pytest.fixture
def app(venue_settings: Settings, venue: Venue) -> Iterator[Flask]:
    changed = venue_settings.model_copy(
        update={"oracle": venue_settings.oracle.model_copy(update={"update_cache_seconds": 0.0})}
    )
    app = create_app(changed, authenticate=lambda _: TRADER)
    yield app
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture
def get(app: Flask) -> Callable[[str], Any]:
    return lambda path: app.test_client().get(path, headers={"Authorization": "Bearer trader"})


@pytest.fixture
def build(app: Flask) -> Build:
    def _build(**order: Any) -> Any:
        body = {name: value for name, value in order.items() if value is not None}
        return app.test_client().post("/v1/transactions/build", json=body, headers={"Authorization": "Bearer trader"})

    return _build


def send(venue: Venue, built: Any) -> Any:
    """As a wallet would: to, data and value as they were given."""
    assert built.status_code == 200, built.json
    call = {"from": venue.trader, "gas": hex(GAS), "to": built.json["to"], "data": built.json["data"]}
    call["value"] = hex(int(built.json["value_wei"]))
    receipt = venue.w3.eth.wait_for_transaction_receipt(venue.rpc("eth_sendTransaction", call), poll_latency=0.01)
    assert receipt["status"] == 1
    return receipt


def test_a_position_is_opened_changed_and_closed_by_built_calls(venue: Venue, build: Build) -> None:
    venue.price("BTC-USD", "60000")
    built = build(**OPEN)
    assert (built.json["chain_id"], built.json["to"]) == (31339, venue.deployment.perp.address.lower())
    assert built.headers["Cache-Control"] == "no-store"
    send(venue, built)
    venue.index()
    (row,) = venue.rows("SELECT key, size_wad, collateral_wad FROM perps_positions")
    on_chain = venue.on_chain(row.key)
    assert (on_chain["is_long"], on_chain["size"], on_chain["entry_price"]) == (True, WAD // 2, 60_000 * WAD)
    fee = 30_000 * MAJOR.open_fee_rate
    assert on_chain["collateral"] == 600_025 * WAD // 100 - fee

    for delta in ("100.5", "-50"):
        before = venue.on_chain(row.key)["collateral"]
        venue.price("BTC-USD", "60000")
        send(venue, build(protocol=NAME, action="collateral", position=row.key, collateral_delta=delta))
        assert venue.on_chain(row.key)["collateral"] - before == int(Decimal(delta) * WAD)

    venue.price("BTC-USD", "60500")
    send(venue, build(protocol=NAME, action="close", position=row.key, price_limit="60000"))
    assert venue.on_chain(row.key)["size"] == 0
    venue.index()
    assert venue.position(row.key).status == "closed"
    ended = build(protocol=NAME, action="close", position=row.key, price_limit="0")
    assert (ended.status_code, ended.json["code"]) == (409, "perps.position_ended")


def test_the_price_limit_is_the_contracts_to_hold(venue: Venue, build: Build) -> None:
    venue.price("BTC-USD", "60000")
    built = build(**{**OPEN, "price_limit": "59999"}).json
    call = {"from": venue.trader, "to": built["to"], "data": built["data"], "value": hex(int(built["value_wei"]))}
    refused = venue.w3.provider.make_request("eth_call", [call, "latest"])
    assert "price" in str(refused["error"])


def test_update_data_is_taken_by_the_price_contract_for_its_fee(venue: Venue, get: Callable[[str], Any]) -> None:
    venue.price("BTC-USD", "61234.5")
    venue.price("ETH-USD", "3210")
    found = get(f"/v1/price-updates?protocol={NAME}&market=BTC-USD&market=2").json
    assert [(one["markets"], Decimal(one["price"])) for one in found["prices"]] == [
        (["1"], Decimal("61234.5")),
        (["2"], Decimal(3210)),
    ]
    pyth = venue.contract("dev_pyth", venue.deployment.pyth.address)
    assert found["contract"] == venue.deployment.pyth.address.lower()
    data = [bytes.fromhex(blob[2:]) for blob in found["update_data"]]
    assert int(found["fee_wei"]) == pyth.functions.getUpdateFee(data).call() > 0
    call = {"from": venue.trader, "to": pyth.address, "data": pyth.encode_abi("updatePriceFeeds", [data])}
    receipt = venue.w3.eth.wait_for_transaction_receipt(
        venue.rpc("eth_sendTransaction", {**call, "value": hex(int(found["fee_wei"]))}), poll_latency=0.01
    )
    assert receipt["status"] == 1
    everything = get("/v1/price-updates").json
    assert sorted(one["markets"][0] for one in everything["prices"]) == ["1", "2", "3"]


def test_a_call_is_good_as_long_as_its_price(venue: Venue, build: Build) -> None:
    venue.price("BTC-USD", "60000")
    built = build(**OPEN).json
    (price,) = built["update"]["prices"]
    lasts = datetime.fromisoformat(built["expires_at"]) - datetime.fromisoformat(price["published_at"])
    assert lasts.total_seconds() == 60


def test_a_wide_price_opens_nothing_and_still_closes(venue: Venue, build: Build) -> None:
    key = venue.open(True, "1", "9000")
    venue.index()
    venue.price("BTC-USD", "60000", conf_bps=300)
    opening = build(**OPEN)
    assert (opening.status_code, opening.json["code"]) == (503, "oracle.confidence_too_wide")
    taking = build(protocol=NAME, action="collateral", position=key, collateral_delta="-1")
    assert (taking.status_code, taking.json["code"]) == (503, "oracle.confidence_too_wide")
    send(venue, build(protocol=NAME, action="collateral", position=key, collateral_delta="1"))
    assert build(protocol=NAME, action="close", position=key, price_limit="0").status_code == 200


def test_a_stale_source_gives_no_call(venue: Venue, build: Build, price_server: PriceServer) -> None:
    body = {"BTC-USD": {"price": "60000", "stale_seconds": 90}}
    requests.post(f"{price_server.url}/dev/prices", json=body, timeout=5)
    found = build(**OPEN)
    assert (found.status_code, found.json["code"]) == (503, "oracle.price_stale")


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"protocol": "nobodys"}, 404, None),
        ({"market": "DOGE-USD"}, 404, None),
        ({"size": None}, 422, "/size"),
        ({"position": BTC}, 422, "/position"),
        ({"collateral_delta": "1"}, 422, "/collateral_delta"),
        ({"size": "0"}, 422, "/size"),
        ({"size": "-1"}, 422, "/size"),
        ({"size": 1}, 422, "/size"),
        ({"size": "1e3"}, 422, "/size"),
        ({"size": "0.1234567890123456789"}, 422, "/size"),
        ({"collateral": "9" * 60}, 422, "/collateral"),
        ({"side": "up"}, 422, "/side"),
        ({"action": "liquidate"}, 422, "/action"),
        (
            {"action": "close", "position": "99", "market": None, "side": None, "size": None, "collateral": None},
            404,
            None,
        ),
        ({"sender": "0x" + "11" * 20}, 422, "/sender"),
    ],
)
def test_what_cannot_be_built_is_refused(
    build: Build, changes: dict[str, Any], status: int, pointer: str | None
) -> None:
    found = build(**{**OPEN, **changes})
    assert found.status_code == status, found.json
    if pointer is not None:
        assert [error["pointer"] for error in found.json["errors"]] == [pointer]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/price-updates?market=DOGE", 404),
        ("/v1/price-updates?protocol=nobodys", 404),
        ("/v1/price-updates?market=", 422),
        ("/v1/price-updates?" + "&".join(["market=1"] * 21), 422),
    ],
)
def test_whose_prices_must_be_known(get: Callable[[str], Any], path: str, status: int) -> None:
    assert get(path).status_code == status


@pytest.mark.parametrize(
    ("value", "decimals", "units"),
    [("1", 18, 10**18), ("0.000001", 6, 1), ("-2.5", 1, -25), ("0", 77, 0), ("123", 0, 123)],
)
def test_amounts_are_exact(value: str, decimals: int, units: int) -> None:
    assert to_units("size", Decimal(value), decimals) == units


@pytest.mark.parametrize(("value", "decimals"), [("0.0000001", 6), ("1.5", 0), ("9" * 60, 18)])
def test_an_amount_that_the_contract_cannot_hold_is_refused(value: str, decimals: int) -> None:
    with pytest.raises(InvalidInput):
        to_units("size", Decimal(value), decimals)
