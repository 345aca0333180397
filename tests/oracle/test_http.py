"""Prices over HTTP, and the refresh as a job that a client submits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.orm import Session

import tasks.runtime
from app.core.errors import Unauthenticated
from app.core.http.principal import Credentials, Principal
from app.factory import create_app
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.oracle.jobs import REFRESH_PRICES
from config.groups import OracleSettings
from config.settings import Settings
from tasks.base import process_message
from tasks.oracle import refresh as refresh_task
from tasks.runtime import Runtime
from tests.fakes.hermes import FakeHermes, SignedPrices, answer
from tests.oracle.conftest import rows
from tests.oracle.test_refresh import WRONG_SET
from tests.oracle.updates import BTC, ETH, SEVEN, SOL, message

SCOPES = frozenset({"oracle:read", "oracle:write", "jobs:read", "jobs:write"})
WHO = {
    "alice": Principal(id="user:alice", scopes=SCOPES, method="session"),
    "reader": Principal(id="user:reader", scopes=frozenset({"jobs:read"}), method="session"),
}
Get = Callable[..., Any]


def authenticate(credentials: Credentials) -> Principal:
    """The token is the caller's name."""
    if credentials.bearer not in WHO:
        raise Unauthenticated()
    return WHO[credentials.bearer]


@pytest.fixture
def at() -> int:
    """The second at which the fake publishes: the API has no clock but the real one."""
    return int(time.time())


@pytest.fixture
def prices(at: int) -> SignedPrices:
    """Prices of this moment."""
    return SignedPrices(SEVEN, [message(BTC, publish_time=at), message(ETH, publish_time=at, conf=10**13)])


@pytest.fixture
def settings(database_url: str, broker: EmbeddedValkey, cache: EmbeddedValkey, hermes: FakeHermes) -> Settings:
    """One deployment: the API's and the worker's settings."""
    return Settings(
        _env_file=None,
        database_url=database_url,
        broker_url=broker.url,
        cache_url=cache.url,
        oracle=OracleSettings(
            hermes_url=hermes.url,
            signers=tuple("0x" + address.hex() for address in SEVEN.addresses),
        ),
    )


@pytest.fixture
def app(settings: Settings, redis: Redis, followed: None) -> Iterator[Flask]:
    app = create_app(settings, authenticate=authenticate)
    yield app
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


@pytest.fixture
def get(app: Flask) -> Get:
    client = app.test_client()

    def _get(path: str, who: str = "alice", **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.get(path, headers={"Authorization": f"Bearer {who}"} | named)

    return _get


@pytest.fixture
def worker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """This process as a worker of the deployment."""
    runtime = Runtime(settings)
    monkeypatch.setitem(tasks.runtime._runtimes, os.getpid(), runtime)
    yield runtime
    runtime.engine.dispose()


@pytest.fixture
def submit(app: Flask, worker: Runtime) -> Callable[..., dict[str, Any]]:
    """Submit a refresh, let the worker have its message, and read the job."""
    client = app.test_client()
    headers = {"Authorization": "Bearer alice"}

    def _submit(**params: Any) -> dict[str, Any]:
        made = client.post("/v1/jobs", json={"kind": "oracle.refresh_prices", "params": params}, headers=headers)
        assert made.status_code == 202, made.json
        process_message(worker, REFRESH_PRICES, refresh_task.work, [UUID(made.json["id"])])
        job: dict[str, Any] = client.get(made.json["links"]["self"], headers=headers).json
        return job

    return _submit


def test_a_refresh_job_brings_the_prices_in(
    submit: Callable[..., dict[str, Any]], get: Get, at: int, prices: SignedPrices
) -> None:
    job = submit()
    assert job["status"] == "succeeded"
    assert job["result"] == {"recorded": 2, "unchanged": 0, "refused": {"0x" + SOL.hex(): "missing"}}
    page = get("/v1/prices").json
    assert [quote["symbol"] for quote in page["data"]] == ["BTC/USD", "ETH/USD", "SOL/USD"]
    btc, eth, sol = page["data"]
    assert btc["price"] == {
        "price": "61409.93501000",
        "confidence": "32.87868567",
        "confidence_bps": 6,
        "ema_price": "61409.93501000",
        "ema_confidence": "0.00000001",
        "publish_time": datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z"),
        "signed": {
            "price": "6140993501000",
            "conf": "3287868567",
            "ema_price": "6140993501000",
            "ema_conf": "1",
            "expo": -8,
            "slot": "2",
            "sequence": "2",
        },
    }
    assert set(btc["validity"].values()) == {"fresh"}
    assert eth["validity"] == {
        "open": "confidence_too_wide",
        "margin": "confidence_too_wide",
        "liquidate": "fresh",
        "funding": "confidence_too_wide",
    }
    assert sol["price"] is None
    assert set(sol["validity"].values()) == {"missing"}
    assert (page["next_cursor"], page["has_more"]) == (None, False)


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"publish_time": -61}, "oracle.price_stale", "retrying"),
        ({"publish_time": 60}, "oracle.price_from_the_future", "retrying"),
        ({"guardians": WRONG_SET}, "oracle.update_invalid", "failed"),
        ({"fault": answer(401)}, "oracle.source_refused", "failed"),
        ({"fault": answer(429)}, "oracle.source_unavailable", "retrying"),
    ],
)
def test_a_refresh_that_is_refused_says_why_and_changes_nothing(
    submit: Callable[..., dict[str, Any]],
    session: Session,
    hermes: FakeHermes,
    prices: SignedPrices,
    at: int,
    change: dict[str, Any],
    code: str,
    status: str,
) -> None:
    if "publish_time" in change:
        prices.put(message(BTC, publish_time=at + change["publish_time"]))
    prices.guardians = change.get("guardians", prices.guardians)
    if "fault" in change:
        hermes.faults.append(change["fault"])
    job = submit(feeds=["BTC/USD"])
    assert (job["error"]["code"], job["status"]) == (code, status)
    assert rows(session, "SELECT count(*) FROM oracle_prices") == [(0,)]
    assert rows(session, "SELECT count(*) FROM outbox WHERE topic = 'prices'") == [(0,)]


def test_named_feeds_only(submit: Callable[..., dict[str, Any]], session: Session) -> None:
    assert submit(feeds=["ETH/USD", "0x" + ETH.hex()])["result"]["recorded"] == 1
    assert rows(session, "SELECT symbol FROM oracle_feeds WHERE price IS NOT NULL") == [("ETH/USD",)]
    job = submit(feeds=["DOGE/USD"])
    assert job["status"] == "failed"
    assert job["error"] == {
        "code": "oracle.feed_unknown",
        "detail": "This deployment follows no such price feed.",
        "retryable": False,
        "feeds": ["DOGE/USD"],
    }


@pytest.mark.parametrize("params", [{"feeds": []}, {"feeds": "BTC/USD"}, {"feeds": [1]}, {"feed": ["BTC/USD"]}])
def test_parameters_are_checked_when_the_job_is_submitted(app: Flask, params: dict[str, Any]) -> None:
    refused = app.test_client().post(
        "/v1/jobs",
        json={"kind": "oracle.refresh_prices", "params": params},
        headers={"Authorization": "Bearer alice"},
    )
    assert refused.status_code == 422


def test_the_round_of_all_feeds_is_one_at_a_time(app: Flask) -> None:
    client = app.test_client()
    whole = {"kind": "oracle.refresh_prices"}
    named = {"kind": "oracle.refresh_prices", "params": {"feeds": ["BTC/USD"]}}
    headers = {"Authorization": "Bearer alice"}
    statuses = [
        client.post("/v1/jobs", json=body, headers=headers).status_code for body in (whole, whole, named, named)
    ]
    assert statuses == [202, 409, 202, 202]


def test_prices_by_name_and_page(submit: Callable[..., dict[str, Any]], get: Get) -> None:
    submit()
    some = get(f"/v1/prices?symbol=SOL/USD&symbol=BTC/USD&feed=0x{ETH.hex()}&limit=2")
    assert [quote["symbol"] for quote in some.json["data"]] == ["BTC/USD", "ETH/USD"]
    assert some.headers["Cache-Control"] == "private, max-age=1"
    rest = get(some.headers["Link"].partition(">")[0][1:])
    assert [quote["symbol"] for quote in rest.json["data"]] == ["SOL/USD"]
    assert "Link" not in rest.headers


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/prices?symbol=DOGE/USD", 404, "oracle.feed_unknown"),
        ("/v1/prices?feed=0x12", 422, "core.invalid_input"),
        ("/v1/prices?feeds=BTC/USD", 422, "core.invalid_input"),
        ("/v1/prices?cursor=nonsense", 422, "core.invalid_input"),
        ("/v1/prices?limit=0", 422, "core.invalid_input"),
        ("/v1/prices?symbol=%00", 422, "core.invalid_input"),
        ("/v1/prices/DOGE/history", 404, "oracle.feed_unknown"),
        ("/v1/prices/BTC/USD/history?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 422, "core.invalid_input"),
        ("/v1/prices/BTC/USD/history?from=yesterday", 422, "core.invalid_input"),
        ("/v1/prices/DOGE/USD", 404, "oracle.feed_unknown"),
    ],
)
def test_bad_questions_get_their_problem(get: Get, path: str, status: int, code: str) -> None:
    problem = get(path)
    assert (problem.status_code, problem.json["code"]) == (status, code)


def test_a_scope_is_needed(get: Get) -> None:
    assert get("/v1/prices", who="reader").status_code == 403
    assert get("/v1/prices/BTC/USD/history", who="reader").status_code == 403
    assert get("/v1/prices", who="nobody").status_code == 401


def test_history_in_pages(submit: Callable[..., dict[str, Any]], get: Get, prices: SignedPrices, at: int) -> None:
    for age in (3, 2, 1):
        prices.put(message(BTC, price=age, publish_time=at - age))
        submit(feeds=["BTC/USD"])
    first = get("/v1/prices/BTC%2FUSD/history?limit=2")
    assert [price["signed"]["price"] for price in first.json["data"]] == ["1", "2"]
    assert first.headers["Cache-Control"] == "private, max-age=10"
    rest = get(first.headers["Link"].partition(">")[0][1:])
    assert [price["signed"]["price"] for price in rest.json["data"]] == ["3"]
    assert rest.json["has_more"] is False
    end = (datetime.fromtimestamp(at, UTC) - timedelta(seconds=2)).isoformat().replace("+00:00", "Z")
    older = get(f"/v1/prices/0x{BTC.hex()}/history?to={end}")
    assert [price["signed"]["price"] for price in older.json["data"]] == ["3"]
    assert get(f"/v1/prices/0x{BTC.hex()}/history?to={end}", If_None_Match=older.headers["ETag"]).status_code == 304


def test_metrics_tell_how_old_prices_are(app: Flask, engine: Engine, submit: Callable[..., dict[str, Any]]) -> None:
    submit()
    with Session(engine) as session:
        told = app.extensions["metrics"].exposition(session).decode()
    assert 'watchkeeper_price_age_seconds{symbol="BTC/USD"}' in told
    assert "watchkeeper_feeds_without_price 1.0" in told
