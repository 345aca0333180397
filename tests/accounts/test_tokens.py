"""Tokens that are not ours, or not of that kind, open nothing."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import jwt
import pytest
import time_machine
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from config.groups import DEVELOPMENT_SECRET
from tests.accounts.conftest import World, bearer
from tests.core.test_problems import problem

OTHER_SECRET = "another-secret-of-more-than-thirty-two-bytes"


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def me(client: FlaskClient, token: str):
    return client.get("/v1/me", headers=bearer(token))


@pytest.fixture
def client(world: World) -> FlaskClient:
    return world.client


@pytest.fixture
def claims(world: World) -> dict[str, Any]:
    return claims_of(world.alice["access_token"])


def segment(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(claims: dict[str, Any]) -> str:
    return f"{segment({'alg': 'none'})}.{segment(claims)}."


def test_what_we_would_sign_ourselves_is_taken(client: FlaskClient, claims: dict[str, Any]) -> None:
    assert me(client, jwt.encode(claims, DEVELOPMENT_SECRET, "HS256")).status_code == 200


def test_an_unsigned_token(client: FlaskClient, claims: dict[str, Any]) -> None:
    problem(me(client, unsigned(claims)), 401, "accounts.token_invalid")


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
def test_our_secret_with_another_algorithm(client: FlaskClient, claims: dict[str, Any], algorithm: str) -> None:
    problem(me(client, jwt.encode(claims, DEVELOPMENT_SECRET, algorithm)), 401, "accounts.token_invalid")


def test_another_secret(client: FlaskClient, claims: dict[str, Any]) -> None:
    problem(me(client, jwt.encode(claims, OTHER_SECRET, "HS256")), 401, "accounts.token_invalid")


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "somebody"},
        {"type": "refresh"},
        {"type": "other"},
        {"sub": 7},
        {"sub": "root"},
        {"sid": None},
        {"sid": "x"},
        {"jti": 1},
        {"nbf": 4102444800},
    ],
)
def test_a_signed_token_that_says_something_else(
    client: FlaskClient, claims: dict[str, Any], change: dict[str, Any]
) -> None:
    problem(me(client, jwt.encode(claims | change, DEVELOPMENT_SECRET, "HS256")), 401, "accounts.token_invalid")


@pytest.mark.parametrize("missing", ["iss", "sub", "sid", "jti"])
def test_a_signed_token_that_lacks_something(client: FlaskClient, claims: dict[str, Any], missing: str) -> None:
    del claims[missing]
    problem(me(client, jwt.encode(claims, DEVELOPMENT_SECRET, "HS256")), 401, "accounts.token_invalid")


def test_an_expired_token(client: FlaskClient, claims: dict[str, Any]) -> None:
    past = datetime.now(UTC) - timedelta(seconds=1)
    problem(me(client, jwt.encode(claims | {"exp": past}, DEVELOPMENT_SECRET, "HS256")), 401, "accounts.token_expired")


def test_a_machine_whose_clock_is_slow_takes_no_expired_token(client: FlaskClient, claims: dict[str, Any]) -> None:
    now = datetime.now(UTC)
    then, past = now - timedelta(hours=2), now - timedelta(seconds=60)
    token = jwt.encode(claims | {"iat": then, "nbf": then, "exp": past}, DEVELOPMENT_SECRET, "HS256")
    with time_machine.travel(now - timedelta(hours=1)):
        problem(me(client, token), 401, "accounts.token_expired")


def test_a_session_that_never_was(client: FlaskClient, claims: dict[str, Any]) -> None:
    token = jwt.encode(claims | {"sid": str(uuid4())}, DEVELOPMENT_SECRET, "HS256")
    problem(me(client, token), 401, "accounts.token_revoked")


def test_a_session_of_somebody_else(client: FlaskClient, claims: dict[str, Any]) -> None:
    token = jwt.encode(claims | {"sub": str(uuid4())}, DEVELOPMENT_SECRET, "HS256")
    problem(me(client, token), 401, "accounts.token_revoked")


def test_a_refresh_token_opens_nothing(client: FlaskClient, world: World) -> None:
    problem(me(client, world.alice["refresh_token"]), 401, "accounts.token_invalid")


def test_an_access_token_refreshes_nothing(client: FlaskClient, world: World) -> None:
    body = {"refresh_token": world.alice["access_token"]}
    problem(client.post("/v1/auth/refresh", json=body), 401, "accounts.token_invalid")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer   "},
        {"Authorization": "Basic YWxpY2U6eA=="},
        {"Authorization": "token"},
    ],
)
def test_no_credentials(client: FlaskClient, headers: dict[str, str]) -> None:
    response = client.get("/v1/me", headers=headers)
    problem(response, 401, "core.unauthenticated")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_two_credentials_at_once(client: FlaskClient, world: World) -> None:
    headers = world.alice["headers"] | {"X-API-Key": "wk_x"}
    problem(client.get("/v1/me", headers=headers), 401, "core.unauthenticated")


HEADER_TEXT = st.text(st.characters(min_codepoint=33, max_codepoint=255), min_size=1, max_size=80)
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
SEGMENT = st.text("ABCabc019-_=", max_size=40) | JSON.map(segment)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.one_of(HEADER_TEXT, st.lists(SEGMENT, min_size=2, max_size=4).map(".".join)))
def test_noise_is_never_a_crash(client: FlaskClient, token: str) -> None:
    for headers in (bearer(token), {"X-API-Key": token}):
        assert client.get("/v1/me", headers=headers).status_code == 401
