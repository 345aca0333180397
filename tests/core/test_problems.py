"""Every failure at the edge is one problem+json, and says no more than it should."""

from __future__ import annotations

import json
import logging

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from app.core.errors import BadRequest, InvalidInput
from app.core.http.json_body import parse_json

JSON = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
WRITER = {"Authorization": "Bearer alice+jobs:write"}


def problem(response: TestResponse, status: int, code: str) -> dict:
    """The problem in `response`, checked for everything that all problems share."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json"
    body = response.get_json()
    assert body["code"] == code
    assert body["type"] == f"urn:watchkeeper:problem:{code}"
    assert body["status"] == status
    assert body["request_id"] == response.headers["X-Request-ID"]
    assert {"title", "detail", "retryable"} <= body.keys()
    return body


def send(probe: FlaskClient, raw: str | bytes, content_type: str | None = "application/json") -> TestResponse:
    return probe.post("/v1/probe/body", data=raw, content_type=content_type, headers=WRITER)


def test_unknown_address(probe: FlaskClient) -> None:
    problem(probe.get("/nowhere"), 404, "core.not_found")


def test_wrong_method_names_the_right_ones(probe: FlaskClient) -> None:
    response = probe.delete("/v1/probe/body")
    problem(response, 405, "core.method_not_allowed")
    assert set(response.headers["Allow"].split(", ")) == {"POST", "OPTIONS"}


def test_errors_point_at_the_field(probe: FlaskClient) -> None:
    response = send(probe, json.dumps({"name": 1, "params": {"feeds": ["x", 2]}, "a/b~": 1}))
    found = {error["pointer"] for error in problem(response, 422, "core.invalid_input")["errors"]}
    assert found == {"/name", "/params/feeds/0", "/a~1b~0"}


@pytest.mark.parametrize("raw", ["[]", "null", '"text"', "7"])
def test_a_body_that_is_no_object(probe: FlaskClient, raw: str) -> None:
    assert problem(send(probe, raw), 422, "core.invalid_input")["errors"][0]["pointer"] == ""


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "{'name': 'x'}",
        '{"name": "a", "name": "b"}',
        '{"name": NaN}',
        '{"name": -Infinity}',
        '{"name": 1e999}',
        '{"name": ' + "1" * 5000 + "}",
        "[" * 100_000,
        '{"name": "x", "params": ' + "[" * 64 + "]" * 64 + "}",
        b'{"name": "\xff"}',
        b'\xef\xbb\xbf{"name": "x"}',
    ],
)
def test_json_that_is_not_strict(probe: FlaskClient, raw: str | bytes) -> None:
    problem(send(probe, raw), 400, "core.bad_request")


@pytest.mark.parametrize(
    ("raw", "pointer"),
    [
        (r'{"name": "a\u0000b"}', "/name"),
        (r'{"name": "\ud800"}', "/name"),
        (r'{"name": "x", "params": {"\u0000": 1}}', "/params"),
        (r'{"name": "x", "params": {"feeds": [1, "\udfff"]}}', "/params/feeds/1"),
    ],
)
def test_text_that_cannot_be_stored(probe: FlaskClient, raw: str, pointer: str) -> None:
    assert problem(send(probe, raw), 422, "core.invalid_input")["errors"][0]["pointer"] == pointer


def test_a_surrogate_pair_and_an_escaped_backslash_are_fine(probe: FlaskClient) -> None:
    assert send(probe, r'{"name": "\ud83d\ude00 \\u0000"}').get_json() == {"name": "😀 \\u0000"}


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/xml", None])
def test_another_content_type(probe: FlaskClient, content_type: str | None) -> None:
    problem(send(probe, '{"name": "x"}', content_type), 415, "core.unsupported_media_type")


def test_a_charset_is_no_other_content_type(probe: FlaskClient) -> None:
    assert send(probe, '{"name": "x"}', "application/json; charset=utf-8").status_code == 201


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode) | JSON.map(json.dumps).map(str.encode))
def test_any_bytes_are_a_document_or_a_problem(raw: bytes) -> None:
    try:
        document = parse_json(raw)
    except (BadRequest, InvalidInput):
        return
    assert document == json.loads(raw)


def test_no_body_at_all_lacks_its_fields(probe: FlaskClient) -> None:
    body = problem(probe.post("/v1/probe/body", headers=WRITER), 422, "core.invalid_input")
    assert body["errors"] == [{"pointer": "/name", "detail": "Missing data for required field."}]


@pytest.mark.parametrize(
    ("query", "pointers"),
    [
        ("colour=red", ["?colour"]),
        ("limit=1&limit=2", ["?limit"]),
        ("limit=ten", ["?limit"]),
        ("limit=1&x=1&y=2", ["?x", "?y"]),
        ("tag=%00", ["?tag"]),
    ],
)
def test_query_parameters_are_strict(probe: FlaskClient, query: str, pointers: list[str]) -> None:
    body = problem(probe.get(f"/v1/probe/query?{query}"), 422, "core.invalid_input")
    assert [error["pointer"].split("/")[0] for error in body["errors"]] == pointers


def test_a_list_parameter_may_be_repeated(probe: FlaskClient) -> None:
    assert probe.get("/v1/probe/query?limit=3&tag=a&tag=b").get_json() == {"limit": 3, "tag": ["a", "b"]}


def test_a_route_without_parameters_takes_none(probe: FlaskClient) -> None:
    problem(probe.get("/v1/probe/open/x?y=1"), 422, "core.invalid_input")


def test_nul_in_a_path(probe: FlaskClient) -> None:
    problem(probe.get("/v1/probe/open/a%00b"), 404, "core.not_found")


def test_a_conflict_tells_its_facts(probe: FlaskClient) -> None:
    assert problem(probe.put("/v1/probe/conflicts/1"), 409, "core.conflict")["live_job"] == "7"


def test_a_crash_says_nothing_and_is_logged(probe: FlaskClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        response = probe.get("/v1/probe/crash")
    problem(response, 500, "core.internal")
    assert "hunter2" not in response.text
    assert "RuntimeError" not in response.text
