"""While a back-fill reads a protocol's history, what is folded from a part of it is not shown, judged or acted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask

from app.chain.jobs import BACKFILL, PLAN_BACKFILL
from app.core.errors import Unauthenticated
from app.core.http.principal import Credentials, Principal
from app.factory import create_app
from app.perps.jobs import CHECK_HEALTH, LIQUIDATE, SCAN_LIQUIDATIONS, SETTLE_FUNDING
from config.settings import Settings
from tasks.base import process_message
from tasks.chain import backfill_range
from tests.perps.test_keeper import move
from tests.perps.venue import BTC, NAME, Venue

pytestmark = pytest.mark.chain

PATHS = ("/v1/markets", f"/v1/markets/{NAME}/{BTC}", "/v1/positions", "/v1/funding-rates", "/v1/liquidations")


def authenticate(credentials: Credentials) -> Principal:
    """Everybody may read."""
    if not credentials.bearer:
        raise Unauthenticated()
    return Principal(id="user:reader", scopes=frozenset({"perps:read"}), method="session")


@pytest.fixture
def get(venue_settings: Settings, venue: Venue) -> Iterator[Callable[[str], Any]]:
    """A GET of the deployment's API."""
    app: Flask = create_app(venue_settings, authenticate=authenticate)
    client = app.test_client()
    yield lambda path: client.get(path, headers={"Authorization": "Bearer reader"})
    with app.app_context():
        app.extensions["sqlalchemy"].engine.dispose()


def test_nothing_is_served_or_done_on_half_a_history(venue: Venue, get: Callable[[str], Any]) -> None:
    old = venue.open(True, "1", "1500")
    venue.index()
    new = venue.open(True, "2", "3000")
    venue.mine(8)
    plan = venue.submit(PLAN_BACKFILL, params={"contract_set": NAME, "chunk_blocks": 3})
    assert venue.work(plan).status == "queued"
    venue.index()
    move(venue, "50000")  # both are liquidatable, and the second is known to nobody

    for path in (*PATHS, f"/v1/positions?protocol={NAME}", f"/v1/positions/{NAME}/{old}"):
        answer = get(path)
        assert (answer.status_code, answer.json["code"]) == (503, "chain.history_missing"), path
    assert get("/v1/positions?protocol=another").status_code == 200
    (check,) = [one for one in get("/health/ready").json["checks"] if one["name"] == "history"]
    assert (get("/health/ready").status_code, check["ok"], check["needed"]) == (200, False, False)
    assert NAME in check["fault"]

    (scanned,) = venue.run(SCAN_LIQUIDATIONS, params={"protocol": NAME}).values()
    assert (scanned["markets"], scanned["attempts"]) == (0, [])
    assert scanned["unpriced"][BTC] == "history_missing"
    assert venue.run(SETTLE_FUNDING, params={"protocol": NAME}) == {"jobs": []}
    for kind, params in ((LIQUIDATE, {"position": old}), (CHECK_HEALTH, {"position": old})):
        row = venue.work(venue.submit(kind, params={"protocol": NAME, **params}))
        assert (row.status, row.error["code"]) == ("queued", "chain.history_missing")

    for job in venue.rows("SELECT id FROM jobs WHERE kind = 'chain.backfill' ORDER BY id DESC"):
        process_message(venue.runtime, BACKFILL, backfill_range.work, [job.id])
    assert venue.finish(plan).status == "succeeded"
    assert {one["key"] for one in get("/v1/positions").json["data"]} >= {old, new}
    (scanned,) = venue.run(SCAN_LIQUIDATIONS, params={"protocol": NAME}).values()
    assert scanned["markets"] == 3
