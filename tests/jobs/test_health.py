"""Readiness tells of progress; metrics tell of the queue, to who holds the token."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from pydantic import SecretStr

from app.core.http.principal import Credentials, Principal
from config.settings import Settings


def nobody(_: Credentials) -> Principal:
    """These routes ask nobody's name."""
    raise AssertionError("asked who it is")


@pytest.fixture
def app(make_app: Callable[..., Flask], settings: Settings) -> Flask:
    changed = settings.model_copy(update={"metrics_token": SecretStr("a-token")})
    return make_app(changed, authenticate=nobody)


def test_a_fresh_system_is_ready(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/health/live").json == {"status": "live"}
    answer = client.get("/health/ready")
    assert (answer.status_code, answer.json["status"]) == (200, "ready")
    assert all(check["ok"] for check in answer.json["checks"])


def test_probes_are_answered_when_their_address_has_used_up_its_requests(
    make_app: Callable[..., Flask], settings: Settings
) -> None:
    changed = settings.model_copy(update={"http": settings.http.model_copy(update={"ip_limit": "1 per minute"})})
    client = make_app(changed, authenticate=nobody).test_client()
    assert [client.get("/openapi.json").status_code for _ in range(2)] == [200, 429]
    assert [client.get(f"/health/{probe}").status_code for probe in ("live", "ready")] == [200, 200]


def test_a_queue_that_stands_is_not_ready(app: Flask, add: Callable[..., UUID], sql: Callable[..., Any]) -> None:
    add()
    sql("UPDATE jobs SET run_at = now() - interval '1 minute'")
    answer = app.test_client().get("/health/ready")
    assert answer.status_code == 503
    assert [check["name"] for check in answer.json["checks"] if not check["ok"]] == ["queue"]
    sql(
        "UPDATE jobs SET status = 'running', claim_token = gen_random_uuid(), lease_until = now(), started_at = now(),"
        " attempt = 1"
    )
    assert app.test_client().get("/health/ready").status_code == 200


def test_metrics_need_their_token(app: Flask, add: Callable[..., UUID]) -> None:
    add()
    client = app.test_client()
    assert client.get("/metrics").status_code == 401
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    text = client.get("/metrics", headers={"Authorization": "Bearer a-token"}).text
    assert 'watchkeeper_jobs{queue="default",status="queued"} 1.0' in text
    assert 'watchkeeper_jobs{queue="liquidation",status="queued"} 0.0' in text
    assert 'watchkeeper_queue_oldest_seconds{queue="oracle"} 0.0' in text
    assert 'watchkeeper_live_leases{lease="held"} 0.0' in text
    assert "watchkeeper_outbox_waiting 0.0" in text
