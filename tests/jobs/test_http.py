"""The queue over HTTP: what is accepted, what is refused and why, and that a refusal changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from app.core.errors import Unauthenticated
from app.core.http.principal import Credentials, Principal
from app.jobs.jobs import PROBE
from app.jobs.services.schedules import seed
from config.settings import Settings
from tasks.base import process_message
from tasks.jobs import probe
from tasks.runtime import Runtime
from tasks.schedule import schedule

Sql = Callable[..., Any]
ALL = frozenset({"jobs:read", "jobs:write", "jobs:cancel"})
WHO = {
    "alice": Principal(id="user:alice", scopes=ALL, method="session"),
    "bob": Principal(id="user:bob", scopes=ALL, method="session"),
    "reader": Principal(id="user:reader", scopes=frozenset({"jobs:read"}), method="session"),
    "operator": Principal(id="user:op", scopes=ALL | {"ops:read", "ops:write"}, method="session"),
}
PROBE_JOB = {"kind": "jobs.probe", "params": {"note": "hello"}}


def authenticate(credentials: Credentials) -> Principal:
    """The token is the caller's name: accounts have tests of their own."""
    if credentials.bearer not in WHO:
        raise Unauthenticated()
    return WHO[credentials.bearer]


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(authenticate=authenticate)


class Caller:
    """A client of the API with a name."""

    def __init__(self, client: FlaskClient, name: str):
        self._client = client
        self._headers = {"Authorization": f"Bearer {name}"}

    def post(self, path: str, json: Any = None, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._client.post(path, json=json, headers=self._headers | named)

    def patch(self, path: str, json: Any) -> Any:
        return self._client.patch(path, json=json, headers=self._headers)

    def get(self, path: str, **headers: str) -> Any:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._client.get(path, headers=self._headers | named)


@pytest.fixture
def alice(app: Flask) -> Caller:
    return Caller(app.test_client(), "alice")


@pytest.fixture
def bob(app: Flask) -> Caller:
    return Caller(app.test_client(), "bob")


@pytest.fixture
def operator(app: Flask) -> Caller:
    return Caller(app.test_client(), "operator")


@pytest.fixture
def work(context: Runtime) -> Callable[[str], None]:
    """Run a job as a worker would."""
    return lambda job_id: process_message(context, PROBE, probe.work, [UUID(job_id)])


def jobs_in(sql: Sql) -> int:
    return int(sql("SELECT count(*) FROM jobs").scalar_one())


def test_submit_run_and_poll(alice: Caller, work: Callable[[str], None]) -> None:
    answer = alice.post("/v1/jobs", PROBE_JOB)
    assert answer.status_code == 202
    job = answer.json
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert answer.headers["Retry-After"] == "1"
    assert (job["status"], job["done"], job["attempt"]) == ("queued", False, 0)
    work(job["id"])
    polled = alice.get(job["links"]["self"])
    assert (polled.json["status"], polled.json["done"]) == ("succeeded", True)
    assert polled.json["result"] == {"steps": 1, "note": "hello", "resumed_from": 0}
    assert "Retry-After" not in polled.headers
    assert alice.get(job["links"]["self"], If_None_Match=polled.headers["ETag"]).status_code == 304


def test_another_principals_job_is_not_there(alice: Caller, bob: Caller, operator: Caller) -> None:
    path = alice.post("/v1/jobs", PROBE_JOB).headers["Location"]
    for answer in (bob.get(path), bob.post(f"{path}/cancel"), bob.post(f"{path}/retry")):
        assert (answer.status_code, answer.json["code"]) == (404, "jobs.job_not_found")
    assert bob.get("/v1/jobs").json["data"] == []
    assert alice.get(path).json["status"] == "queued"
    assert operator.get(path).status_code == 200


BAD_BODIES: list[tuple[Any, int, str, str | None]] = [
    ({"kind": "no.such"}, 422, "jobs.unknown_kind", "/kind"),
    ({}, 422, "core.invalid_input", "/kind"),
    ({"kind": 7}, 422, "core.invalid_input", "/kind"),
    ({"kind": "jobs.probe\x00"}, 422, "core.invalid_input", "/kind"),
    (PROBE_JOB | {"surprise": 1}, 422, "core.invalid_input", "/surprise"),
    (PROBE_JOB | {"priority": "5"}, 422, "core.invalid_input", "/priority"),
    (PROBE_JOB | {"priority": 1.5}, 422, "core.invalid_input", "/priority"),
    (PROBE_JOB | {"priority": True}, 422, "core.invalid_input", "/priority"),
    (PROBE_JOB | {"priority": 10}, 422, "core.invalid_input", "/priority"),
    (PROBE_JOB | {"run_at": "tomorrow"}, 422, "core.invalid_input", "/run_at"),
    (PROBE_JOB | {"run_at": "2026-01-01T00:00:00"}, 422, "core.invalid_input", "/run_at"),
    (
        PROBE_JOB | {"run_at": "2026-01-02T00:00:00Z", "expires_at": "2026-01-01T00:00:00Z"},
        422,
        "core.invalid_input",
        "/expires_at",
    ),
    (PROBE_JOB | {"max_attempts": 0}, 422, "core.invalid_input", "/max_attempts"),
    (PROBE_JOB | {"params": []}, 422, "core.invalid_input", "/params"),
    ({"kind": "jobs.probe", "params": {"steps": "3"}}, 422, "jobs.invalid_params", "/params/steps"),
    ({"kind": "jobs.probe", "params": {"steps": -1}}, 422, "jobs.invalid_params", "/params/steps"),
    ({"kind": "jobs.probe", "params": {"stepz": 1}}, 422, "jobs.invalid_params", "/params/stepz"),
    ({"kind": "jobs.deliver_callback", "params": {}}, 403, "core.forbidden", None),
    (PROBE_JOB | {"callback_url": "http://127.0.0.1/"}, 422, "core.address_refused", "/callback_url"),
    ([], 422, "core.invalid_input", None),
]


@pytest.mark.parametrize(("body", "status", "code", "pointer"), BAD_BODIES)
def test_a_bad_submission_names_its_field_and_changes_nothing(
    alice: Caller, sql: Sql, body: Any, status: int, code: str, pointer: str | None
) -> None:
    answer = alice.post("/v1/jobs", body)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.mimetype == "application/problem+json"
    if pointer is not None:
        assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert jobs_in(sql) == 0


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "?limit"),
        ("limit=201", "?limit"),
        ("limit=1.5", "?limit"),
        ("status=lost", "?status"),
        ("statuz=queued", "?statuz"),
        ("cursor=AAAA", "?cursor"),
        ("created_after=yesterday", "?created_after"),
        ("kind=%00", "?kind"),
        ("limit=1&limit=2", "?limit"),
    ],
)
def test_a_bad_filter_names_its_parameter(alice: Caller, query: str, pointer: str) -> None:
    answer = alice.get(f"/v1/jobs?{query}")
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


def test_a_reader_may_not_submit(app: Flask, sql: Sql) -> None:
    answer = Caller(app.test_client(), "reader").post("/v1/jobs", PROBE_JOB)
    assert (answer.status_code, answer.json["required_scope"]) == (403, "jobs:write")
    assert jobs_in(sql) == 0


def test_the_same_key_gives_the_first_answer(alice: Caller, bob: Caller, sql: Sql, work: Any) -> None:
    first = alice.post("/v1/jobs", PROBE_JOB, Idempotency_Key="k1")
    work(first.json["id"])
    again = alice.post("/v1/jobs", PROBE_JOB, Idempotency_Key="k1")
    assert (again.status_code, again.json) == (202, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    other = alice.post("/v1/jobs", PROBE_JOB | {"priority": 1}, Idempotency_Key="k1")
    assert (other.status_code, other.json["code"]) == (422, "jobs.idempotency_key_reused")
    assert jobs_in(sql) == 1
    assert bob.post("/v1/jobs", PROBE_JOB, Idempotency_Key="k1").json["id"] != first.json["id"]


def test_one_key_at_the_same_instant_makes_one_job(app: Flask, sql: Sql) -> None:
    start, answers = threading.Barrier(6), []

    def submit() -> None:
        caller = Caller(app.test_client(), "alice")
        start.wait()
        answers.append(caller.post("/v1/jobs", PROBE_JOB, Idempotency_Key="same").json["id"])

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert len(set(answers)) == 1
    assert jobs_in(sql) == 1


@pytest.mark.parametrize("key", ["", " ", "a b", "x" * 201, "ä"])
def test_a_key_that_is_no_key(alice: Caller, sql: Sql, key: str) -> None:
    assert alice.post("/v1/jobs", PROBE_JOB, Idempotency_Key=key).status_code == 400
    assert jobs_in(sql) == 0


def test_a_batch_takes_each_item_by_itself(alice: Caller, sql: Sql) -> None:
    items = [PROBE_JOB, {"kind": "no.such"}, {"kind": "jobs.probe", "params": {"steps": 0}}, PROBE_JOB, {"kind": 1}]
    answer = alice.post("/v1/jobs/batch", {"jobs": items}, Idempotency_Key="b1")
    assert [item["status"] for item in answer.json["data"]] == [202, 422, 422, 202, 422]
    assert answer.json["data"][2]["problem"]["errors"][0]["pointer"] == "/params/steps"
    assert jobs_in(sql) == 2
    assert alice.post("/v1/jobs/batch", {"jobs": items}, Idempotency_Key="b1").json == answer.json
    assert jobs_in(sql) == 2


@pytest.mark.parametrize("items", [[], [PROBE_JOB] * 101, "x", [7]])
def test_a_batch_of_a_wrong_size_is_refused(alice: Caller, sql: Sql, items: Any) -> None:
    assert alice.post("/v1/jobs/batch", {"jobs": items}).status_code == 422
    assert jobs_in(sql) == 0


def test_pages_hold_every_job_once_live_and_archived(alice: Caller, work: Any, sql: Sql, settings: Settings) -> None:
    made = [item["job"]["id"] for item in alice.post("/v1/jobs/batch", {"jobs": [PROBE_JOB] * 25}).json["data"]]
    sql("UPDATE jobs SET dispatched_at = now()")  # published: a worker takes only what its message names
    for job_id in made[:10]:
        work(job_id)
    sql(
        "WITH gone AS (DELETE FROM jobs WHERE finished_at IS NOT NULL RETURNING *)"
        " INSERT INTO jobs_archive (id, finished_at, kind, principal, queue, priority, status, params, max_attempts)"
        " SELECT id, finished_at, kind, principal, queue, priority, status, params, max_attempts FROM gone"
    )
    path, seen = "/v1/jobs?limit=10", []
    while path:
        page = alice.get(path)
        seen += [job["id"] for job in page.json["data"]]
        assert page.json["has_more"] == ("Link" in page.headers) == (page.json["next_cursor"] is not None)
        path = page.headers["Link"].split(">")[0][1:] if "Link" in page.headers else ""
    assert seen == made[::-1]
    assert alice.get("/v1/jobs?status=succeeded&limit=200").json["data"][0]["id"] == made[9]
    assert len(alice.get("/v1/jobs?status=succeeded").json["data"]) == 10
    assert alice.get(f"/v1/jobs/{made[0]}").json["status"] == "succeeded"


def test_cancel_and_retry(alice: Caller, work: Any) -> None:
    path = alice.post("/v1/jobs", PROBE_JOB).headers["Location"]
    assert alice.post(f"{path}/retry").json["code"] == "jobs.not_ended"
    cancelled = alice.post(f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json["status"]) == (202, "cancelled")
    assert alice.post(f"{path}/cancel").json["code"] == "jobs.already_ended"
    again = alice.post(f"{path}/retry")
    assert again.status_code == 202
    assert again.json["retried_from"] == path.rsplit("/", 1)[1]
    work(again.json["id"])
    assert alice.get(again.headers["Location"]).json["status"] == "succeeded"


def test_wait_gives_the_end_or_the_present(alice: Caller, app: Flask, work: Any) -> None:
    late = alice.post("/v1/jobs", PROBE_JOB, Prefer="wait=1")
    assert (late.status_code, late.headers["Preference-Applied"]) == (202, "wait=1")

    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(alice.post("/v1/jobs", PROBE_JOB, Prefer="wait=20")))
    waiting.start()
    found: list[Any] = []
    while len(found) < 2:
        found = Caller(app.test_client(), "alice").get("/v1/jobs").json["data"]
    work(found[0]["id"])
    waiting.join(20)
    assert (answers[0].status_code, answers[0].json["status"]) == (200, "succeeded")


def test_a_job_in_doubt_is_resolved_by_an_operator(alice: Caller, operator: Caller, sql: Sql) -> None:
    path = alice.post("/v1/jobs", PROBE_JOB).headers["Location"]
    assert operator.post(f"{path}/resolve", {"status": "failed"}).json["code"] == "jobs.not_in_doubt"
    sql("UPDATE jobs SET status = 'running', claim_token = gen_random_uuid(), lease_until = now(), attempt = 1")
    sql("UPDATE jobs SET status = 'in_doubt', claim_token = NULL, lease_until = NULL")
    sql("INSERT INTO effects (effect_key, job_id, repeatable, phase) SELECT 'pay', id, false, 'sending' FROM jobs")
    assert alice.post(f"{path}/resolve", {"status": "failed"}).status_code == 403
    assert operator.post(f"{path}/resolve", {"status": "running"}).status_code == 422
    assert operator.post(f"{path}/resolve", {"status": "queued"}).json["status"] == "queued"
    assert sql("SELECT count(*) FROM effects").scalar_one() == 0


def test_the_menu_tells_the_schema_of_the_parameters(alice: Caller) -> None:
    kinds = {kind["name"]: kind for kind in alice.get("/v1/job-kinds").json["data"]}
    schema = kinds["jobs.probe"]["params_schema"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["steps"] == {
        "type": "integer",
        "default": 1,
        "minimum": 1,
        "maximum": 1000,
        "description": "committed steps",
    }


def test_a_malformed_id_is_not_found(alice: Caller) -> None:
    assert alice.get("/v1/jobs/not-an-id").status_code == 404
    assert alice.get("/v1/jobs/00000000-0000-7000-8000-000000000000").json["code"] == "jobs.job_not_found"


@pytest.fixture
def prune_schedule(settings: Settings, context: Runtime) -> None:
    """The deployment's schedules, as `migrate` seeds them."""
    with Session(context.engine) as session:
        seed(session, schedule(settings))
        session.commit()


@pytest.mark.usefixtures("prune_schedule")
def test_schedules_are_shown_and_changed_by_operators(alice: Caller, operator: Caller, sql: Sql) -> None:
    shown = {entry["name"]: entry for entry in alice.get("/v1/schedules").json["data"]}["prune"]
    assert shown["cadence"] == {"interval_seconds": None, "crontab": "17 3 * * *", "time_zone": "UTC"}
    assert alice.patch("/v1/schedules/prune", {"paused": True}).status_code == 403
    changed = operator.patch("/v1/schedules/prune", {"cadence": {"interval_seconds": 600}, "paused": True})
    assert (changed.json["overridden"], changed.json["paused"]) == (True, True)
    assert changed.json["cadence"]["interval_seconds"] == 600
    back = operator.patch("/v1/schedules/prune", {"cadence": None, "paused": False}).json
    assert (back["overridden"], back["paused"], back["cadence"]) == (False, False, shown["cadence"])
    actions = [row.action for row in sql("SELECT action FROM audit_log ORDER BY id")]
    assert actions == ["jobs.schedule_change"] * 2


@pytest.mark.usefixtures("prune_schedule")
@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"cadence": {"crontab": "61 * * * *"}}, "/cadence"),
        ({"cadence": {"crontab": "0 * * * *", "time_zone": "Mars/Olympus"}}, "/cadence"),
        ({"cadence": {"interval_seconds": 60, "crontab": "0 * * * *"}}, "/cadence"),
        ({"cadence": {}}, "/cadence"),
        ({"cadence": {"interval_seconds": 0}}, "/cadence/interval_seconds"),
        ({"paused": "yes"}, "/paused"),
        ({"pause": True}, "/pause"),
    ],
)
def test_a_bad_schedule_change_changes_nothing(operator: Caller, sql: Sql, body: Any, pointer: str) -> None:
    answer = operator.patch("/v1/schedules/prune", body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json["errors"]] == [pointer]
    assert sql(
        "SELECT override_crontab, override_interval_seconds, paused FROM schedules WHERE name = 'prune'"
    ).one() == (None, None, False)


@pytest.mark.usefixtures("prune_schedule")
def test_a_schedule_runs_now_but_not_twice_at_once(operator: Caller) -> None:
    first = operator.post("/v1/schedules/prune/run")
    assert (first.status_code, first.json["kind"]) == (202, "ops.prune")
    again = operator.post("/v1/schedules/prune/run")
    assert (again.status_code, again.json["code"]) == (409, "jobs.already_live")
    assert again.json["live_job_id"] == first.json["id"]
    assert operator.post("/v1/schedules/no-such/run").json["code"] == "jobs.schedule_not_found"
