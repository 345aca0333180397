"""One commit a request, before its answer leaves; nothing of a failure stays."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from tests.core.test_problems import problem


def rows(engine: Engine) -> list[int]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT id FROM probe ORDER BY id")).scalars())


def test_success_commits_then_calls_back(own_probe: FlaskClient, engine: Engine, woken: list[str]) -> None:
    assert own_probe.put("/v1/probe/rows/1").status_code == 200
    assert rows(engine) == [1]
    assert woken == ["row 1"]


def test_an_error_rolls_back(own_probe: FlaskClient, engine: Engine) -> None:
    problem(own_probe.put("/v1/probe/conflicts/1"), 409, "core.conflict")
    assert rows(engine) == []


def test_a_commit_that_fails_is_no_success(own_probe: FlaskClient, engine: Engine, woken: list[str]) -> None:
    problem(own_probe.put("/v1/probe/orphans/1"), 500, "core.internal")
    assert rows(engine) == []
    assert woken == []


def test_an_early_commit_outlives_its_callbacks(own_probe: FlaskClient, engine: Engine, woken: list[str]) -> None:
    problem(own_probe.put("/v1/probe/early/1"), 409, "core.conflict")
    assert rows(engine) == [1]
    assert woken == ["early"]


def test_a_callback_runs_once_however_often_the_request_commits(
    own_probe: FlaskClient, engine: Engine, woken: list[str]
) -> None:
    assert own_probe.put("/v1/probe/twice/1").status_code == 200
    assert rows(engine) == [1, 2]
    assert woken == ["once"]


def test_a_broken_statement_does_not_poison_the_next_request(own_probe: FlaskClient) -> None:
    problem(own_probe.get("/v1/probe/broken-sql"), 500, "core.internal")
    assert own_probe.get("/v1/probe/sql").get_json() == {"sum": 2}


def test_a_severed_connection_is_a_503_and_the_next_request_works(own_probe: FlaskClient) -> None:
    response = own_probe.get("/v1/probe/severed")
    body = problem(response, 503, "core.unavailable")
    assert body["retryable"] is True
    assert int(response.headers["Retry-After"]) >= 1
    assert own_probe.get("/v1/probe/sql").get_json() == {"sum": 2}


@pytest.mark.parametrize(
    ("state", "status", "code"),
    [
        ("53100", 503, "core.unavailable"),  # the disk is full
        ("53300", 503, "core.unavailable"),  # too many connections
        ("57P03", 503, "core.unavailable"),  # it is starting
        ("58030", 503, "core.unavailable"),  # the disk fails
        ("XX000", 503, "core.unavailable"),  # a file cannot grow past its limit
        ("25006", 503, "core.unavailable"),  # a standby, after a failover
        ("22012", 500, "core.internal"),  # our statement divided by zero
        ("25001", 500, "core.internal"),
    ],
)
def test_a_database_that_fails_is_a_503_and_our_mistake_a_500(
    own_probe: FlaskClient, state: str, status: int, code: str
) -> None:
    problem(own_probe.get(f"/v1/probe/sqlstate/{state}"), status, code)


def test_no_connection_is_left_open_after_requests(own_probe: FlaskClient) -> None:
    for path in ("sql", "broken-sql", "crash", "severed"):
        own_probe.get(f"/v1/probe/{path}")
    with own_probe.application.app_context():
        assert own_probe.application.extensions["sqlalchemy"].engine.pool.checkedout() == 0
