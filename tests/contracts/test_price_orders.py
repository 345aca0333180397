"""The development orders of the price server: crash a price, widen it, freeze a feed or let it age."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.contracts.price_client import ETH_ID, SOL_ID, Client, price_of


def test_an_ordered_price_is_published_at_once_and_exactly(server: Client) -> None:
    answer = server.order(BTC_USD={"price": "40000.12345678", "conf_bps": 250})
    state = answer.json()["BTC-USD"]
    assert (state["price"], state["conf_bps"]) == ("40000.12345678", 250)
    price = price_of(server)
    assert abs(int(price["price"]) - 4_000_012_345_678) < 4_000_012_345_678 // 1000
    assert int(price["conf"]) == int(price["price"]) * 250 // 10_000


def test_a_frozen_feed_stands_still_until_it_is_released(server: Client) -> None:
    server.order(BTC_USD={"price": "40000", "frozen": True})
    frozen = price_of(server)
    assert frozen["price"] == "4000000000000"
    # Other feeds go on: a second later the frozen one is still the same, its date too.
    began = price_of(server, ETH_ID)["publish_time"]
    deadline = time.monotonic() + 5
    while price_of(server, ETH_ID)["publish_time"] == began:
        assert time.monotonic() < deadline
    assert price_of(server) == frozen
    server.order(BTC_USD={"frozen": False})
    assert price_of(server)["publish_time"] > frozen["publish_time"]


def test_an_aged_feed_is_dated_back(server: Client) -> None:
    server.order(ETH_USD={"stale_seconds": 90})
    aged, fresh = price_of(server, ETH_ID), price_of(server)
    assert 89 <= fresh["publish_time"] - aged["publish_time"] <= 91
    server.order(ETH_USD={"stale_seconds": 0})
    assert price_of(server, ETH_ID)["publish_time"] >= fresh["publish_time"]


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"DOGE-USD": {"price": "1"}}, 404, "no such symbol: DOGE-USD"),
        ([], 400, "expected"),
        ({"BTC-USD": 1}, 400, "expected"),
        ({"BTC-USD": {"price": 61409.93}}, 400, "`price` cannot be 61409.93"),
        ({"BTC-USD": {"price": "a lot"}}, 400, "`price` cannot be 'a lot'"),
        ({"BTC-USD": {"price": "NaN"}}, 400, "`price` must be"),
        ({"BTC-USD": {"price": "0"}}, 400, "`price` must be"),
        ({"BTC-USD": {"price": "1e30"}}, 400, "`price` must be"),
        ({"BTC-USD": {"price": "0.000000001"}}, 400, "`price` must be"),
        ({"BTC-USD": {"conf_bps": -1}}, 400, "`conf_bps` cannot be -1"),
        ({"BTC-USD": {"conf_bps": True}}, 400, "`conf_bps` cannot be True"),
        ({"BTC-USD": {"frozen": 1}}, 400, "`frozen` cannot be 1"),
        ({"BTC-USD": {"colour": 1}}, 400, "`colour` cannot be 1"),
    ],
)
def test_orders_that_are_refused_change_nothing(reading: Client, body: Any, status: int, text: str) -> None:
    if isinstance(body, dict):
        body = {"SOL-USD": {"price": "1"}, **body}
    answer = reading.session.post(reading.url + "/dev/prices", json=body, timeout=5)
    assert (answer.status_code, text in answer.text) == (status, True), answer.text
    assert int(price_of(reading, SOL_ID)["price"]) > 10**9
