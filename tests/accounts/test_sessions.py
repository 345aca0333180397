"""What becomes of a session: refreshed, stolen, signed out, ended by a new password, over."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.accounts.services.prune import prune
from app.core.clock import utc_now
from tests.accounts.conftest import PASSWORD, MakeUser, SignIn, bearer
from tests.accounts.test_sign_in import log_in
from tests.core.test_problems import problem


def refresh(client: FlaskClient, token: str):
    return client.post("/v1/auth/refresh", json={"refresh_token": token})


def test_a_refresh_token_works_once(client: FlaskClient, make_user: MakeUser, sign_in: SignIn) -> None:
    make_user()
    first = sign_in()
    second = refresh(client, first["refresh_token"]).get_json()
    third = refresh(client, second["refresh_token"]).get_json()
    for tokens in (first, second, third):
        assert client.get("/v1/me", headers=bearer(tokens["access_token"])).status_code == 200


def test_a_refresh_token_used_twice_ends_its_session(
    client: FlaskClient, second_client: FlaskClient, make_user: MakeUser, sign_in: SignIn, session: Session
) -> None:
    make_user()
    stolen, other = sign_in(), sign_in()
    current = refresh(client, stolen["refresh_token"]).get_json()
    assert second_client.get("/v1/me", headers=stolen["headers"]).status_code == 200
    problem(refresh(client, stolen["refresh_token"]), 401, "accounts.refresh_reused")
    problem(refresh(client, current["refresh_token"]), 401, "accounts.token_revoked")
    for token in (stolen["access_token"], current["access_token"]):
        for each in (client, second_client):
            problem(each.get("/v1/me", headers=bearer(token)), 401, "accounts.token_revoked")
    assert client.get("/v1/me", headers=other["headers"]).status_code == 200
    assert "sessions.reuse" in session.execute(text("SELECT action FROM audit_log")).scalars().all()


def test_of_two_refreshes_at_once_one_wins_and_the_session_ends(
    app: Flask, make_user: MakeUser, sign_in: SignIn
) -> None:
    make_user()
    token = sign_in()["refresh_token"]
    gate = threading.Barrier(4)

    def renew(_: int):
        client = app.test_client()
        gate.wait()
        return refresh(client, token)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(renew, range(4)))
    won = [answer for answer in answers if answer.status_code == 200]
    assert len(won) == 1
    problem(refresh(app.test_client(), won[0].get_json()["refresh_token"]), 401, "accounts.token_revoked")


def test_signing_out_ends_the_session(client: FlaskClient, make_user: MakeUser, sign_in: SignIn) -> None:
    make_user()
    tokens, other = sign_in(), sign_in()
    assert client.post("/v1/auth/logout", headers=tokens["headers"]).status_code == 204
    problem(client.get("/v1/me", headers=tokens["headers"]), 401, "accounts.token_revoked")
    problem(refresh(client, tokens["refresh_token"]), 401, "accounts.token_revoked")
    assert client.get("/v1/me", headers=other["headers"]).status_code == 200


def test_changing_the_password_ends_every_session(client: FlaskClient, make_user: MakeUser, sign_in: SignIn) -> None:
    make_user()
    tokens, other = sign_in(), sign_in()
    body = {"current_password": PASSWORD, "password": "another long password"}
    assert client.post("/v1/auth/password", json=body, headers=tokens["headers"]).status_code == 204
    for each in (tokens, other):
        problem(client.get("/v1/me", headers=each["headers"]), 401, "accounts.token_revoked")
        problem(refresh(client, each["refresh_token"]), 401, "accounts.token_revoked")
    sign_in(password="another long password")
    problem(
        client.post("/v1/auth/login", json={"login": "alice", "password": PASSWORD}), 401, "accounts.sign_in_refused"
    )


@pytest.mark.parametrize("password", ["short", "x" * 257, "my ALICE password"])
def test_a_weak_new_password_changes_nothing(
    client: FlaskClient, make_user: MakeUser, sign_in: SignIn, password: str
) -> None:
    make_user()
    tokens = sign_in()
    body = {"current_password": PASSWORD, "password": password}
    response = client.post("/v1/auth/password", json=body, headers=tokens["headers"])
    assert response.status_code == 422
    assert response.get_json()["errors"][0]["pointer"] == "/password"
    assert client.get("/v1/me", headers=tokens["headers"]).status_code == 200
    sign_in()


def test_a_stolen_token_cannot_guess_the_password(client: FlaskClient, make_user: MakeUser, sign_in: SignIn) -> None:
    make_user()
    headers = sign_in()["headers"]
    body = {"current_password": "wrong", "password": "another long password"}
    for _ in range(5):
        problem(client.post("/v1/auth/password", json=body, headers=headers), 401, "accounts.sign_in_refused")
    problem(client.post("/v1/auth/password", json=body, headers=headers), 429, "accounts.sign_in_locked")


def test_an_expired_session_refreshes_nothing(
    client: FlaskClient, make_user: MakeUser, sign_in: SignIn, session: Session
) -> None:
    make_user()
    token = sign_in()["refresh_token"]
    session.execute(text("UPDATE accounts_sessions SET expires_at = now() - interval '1 second'"))
    session.commit()
    problem(refresh(client, token), 401, "accounts.token_revoked")


def test_what_is_over_is_forgotten(client: FlaskClient, make_user: MakeUser, sign_in: SignIn, session: Session) -> None:
    make_user()
    tokens = sign_in()
    log_in(client, "nobody", "x")
    now = utc_now()
    assert prune(session, now) == {"sessions": 0, "sign_in_attempts": 0}
    assert prune(session, now + timedelta(days=2)) == {"sessions": 0, "sign_in_attempts": 1}
    assert prune(session, now + timedelta(days=45)) == {"sessions": 1, "sign_in_attempts": 0}
    session.commit()
    problem(refresh(client, tokens["refresh_token"]), 401, "accounts.token_revoked")
