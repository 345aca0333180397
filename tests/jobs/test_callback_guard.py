"""Callbacks that point inside, from the POST to the delivery: refused without a trace, or tried and told in vain."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from app.jobs.jobs import DELIVER_CALLBACK, PROBE
from app.jobs.services.dispatch import start_callbacks
from tasks.base import process_message
from tasks.jobs import deliver_callback, probe
from tasks.runtime import Runtime
from tests.core.raw_server import Server, says
from tests.core.test_outbound import ODD_URLS, REFUSED_AT_SIGHT
from tests.jobs.test_http import Caller, authenticate

INNER = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\ninner-secret"
ALL_ROWS = (
    "SELECT 1 FROM jobs UNION ALL SELECT 1 FROM job_callbacks UNION ALL SELECT 1 FROM job_keys"
    " UNION ALL SELECT 1 FROM audit_log UNION ALL SELECT 1 FROM outbox"
)


@pytest.fixture
def alice(make_app: Callable[..., Flask]) -> Caller:
    return Caller(make_app(authenticate=authenticate).test_client(), "alice")


@pytest.fixture
def inner() -> Iterator[Server]:
    """A service that only we can reach."""
    server = Server(says(INNER))
    yield server
    server.stop()


def job(url: str) -> dict[str, Any]:
    return {"kind": "jobs.probe", "callback_url": url}


def test_a_callback_that_points_inside_is_refused_and_changes_nothing(alice: Caller, sql: Callable[..., Any]) -> None:
    urls = [*REFUSED_AT_SIGHT.split(), *ODD_URLS]
    for number, url in enumerate(urls):
        answer = alice.post("/v1/jobs", job(url), Idempotency_Key=f"key-{number}-of-mine")
        assert answer.status_code in (400, 422), url
        assert [error["pointer"] for error in answer.json["errors"]] == ["/callback_url"], url
    for start in range(0, len(urls), 20):
        batch = alice.post("/v1/jobs/batch", {"jobs": [job(url) for url in urls[start : start + 20]]}).json["data"]
        assert {item["problem"]["errors"][0]["pointer"].rpartition("/")[2] for item in batch} == {"callback_url"}
    assert sql(ALL_ROWS).all() == []


def test_a_name_that_moves_inside_is_never_called(
    alice: Caller,
    context: Runtime,
    sql: Callable[..., Any],
    inner: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Public when the client tried it out, an address of ours among others when the delivery asks."""
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **more: Any) -> Any:
        if host != "rebinding.example.org":
            return real(host, *rest, **more)
        return [entry for address in ("8.8.8.8", "127.0.0.1") for entry in real(address, *rest, **more)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    # The guard would refuse the port alone: it must be the address.
    monkeypatch.setattr("app.core.outbound.guarded.PORTS", frozenset({inner.port}))
    accepted = alice.post("/v1/jobs", job(f"http://rebinding.example.org:{inner.port}/hook"))
    assert accepted.status_code == 202
    process_message(context, PROBE, probe.work, [UUID(accepted.json["id"])])
    with Session(context.engine) as session:
        assert start_callbacks(session) == 1
        session.commit()
    delivery = sql("SELECT id FROM jobs WHERE kind = 'jobs.deliver_callback'").scalar_one()
    process_message(context, DELIVER_CALLBACK, deliver_callback.work, [delivery])

    ended = sql("SELECT status, attempt, error, result FROM jobs WHERE id = :id", id=delivery).one()
    assert (ended.status, ended.attempt, ended.result) == ("failed", 1, None)
    assert ended.error["code"] == "core.address_refused"
    assert sql("SELECT delivered_at FROM job_callbacks").scalar_one() is None
    assert inner.connections == 0
    assert "127.0.0.1" not in json.dumps(ended.error)
