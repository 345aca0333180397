"""Signing in, refreshing, signing out: over HTTP, on real Postgres."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from argon2 import extract_parameters
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.accounts.adapters import passwords_from_settings
from app.accounts.adapters.argon2 import Passwords
from app.accounts.errors import SignInLocked, SignInRefused
from app.accounts.services.prune import prune
from app.accounts.services.sign_in import sign_in as sign_in_service
from app.core.clock import utc_now
from config.settings import AccountsSettings, Settings
from tests.accounts.conftest import PASSWORD, SHELL, MakeUser, SignIn, bearer
from tests.core.test_problems import problem


def log_in(client: FlaskClient, login: str, password: str):
    return client.post("/v1/auth/login", json={"login": login, "password": password})


def refresh(client: FlaskClient, token: str):
    return client.post("/v1/auth/refresh", json={"refresh_token": token})


def test_me(client: FlaskClient, make_user: MakeUser, sign_in: SignIn) -> None:
    user = make_user("Alice@Example.org", "jobs:read")
    tokens = sign_in("alice@example.ORG")
    me = client.get("/v1/me", headers=tokens["headers"]).get_json()
    assert me["id"] == str(user.id)
    assert me["login"] == "alice@example.org"
    assert me["scopes"] == ["jobs:read"]
    assert me["method"] == "session"
    assert me["last_login_at"] is not None
    assert tokens["expires_in"] == 900


@pytest.mark.parametrize(("login", "password"), [("alice", "wrong"), ("nobody", PASSWORD), ("nobody", "wrong")])
def test_any_wrong_pair_is_refused_alike(client: FlaskClient, make_user: MakeUser, login: str, password: str) -> None:
    make_user()
    response = log_in(client, login, password)
    body = problem(response, 401, "accounts.sign_in_refused")
    assert body["detail"] == "The login or the password is wrong."
    assert response.headers["WWW-Authenticate"] == "Bearer"


class CountingPasswords(Passwords):
    """The real hasher, which notes each time it is made to work."""

    verified = 0

    def verify(self, stored: str | None, password: str) -> bool:
        self.verified += 1
        return super().verify(stored, password)


def test_an_unknown_login_costs_what_a_wrong_password_does(session: Session, make_user: MakeUser) -> None:
    make_user()
    for login in ("alice", "nobody"):
        passwords = CountingPasswords(time_cost=1, memory_kib=64, parallelism=1, at_once=1)
        with pytest.raises(SignInRefused):
            sign_in_service(
                session,
                passwords=passwords,
                login=login,
                password="wrong",
                lifetime=timedelta(1),
                origin=SHELL,
                now=utc_now(),
            )
        session.rollback()
        assert passwords.verified == 1
        assert extract_parameters(passwords._nobody) == extract_parameters(passwords.hash("x"))


def test_a_password_is_hashed_anew_when_its_cost_changed(
    client: FlaskClient, session: Session, make_user: MakeUser, sign_in: SignIn, settings: Settings
) -> None:
    make_user()
    old = passwords_from_settings(AccountsSettings(password_memory_kib=128, password_time_cost=2))
    session.execute(text("UPDATE accounts_users SET password_hash = :hash"), {"hash": old.hash(PASSWORD)})
    session.commit()
    sign_in()
    stored = session.execute(text("SELECT password_hash FROM accounts_users")).scalar_one()
    assert stored.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    sign_in()


def test_failures_lock_the_login_with_growing_waits(session: Session, make_user: MakeUser, settings: Settings) -> None:
    passwords = passwords_from_settings(settings.accounts)
    make_user()
    now = utc_now()

    def attempt(login: str, password: str) -> str | float:
        try:
            sign_in_service(
                session,
                passwords=passwords,
                login=login,
                password=password,
                lifetime=timedelta(1),
                origin=SHELL,
                now=now,
            )
        except SignInRefused:
            return "refused"
        except SignInLocked as locked:
            return locked.retry_after_seconds
        return "in"

    for login in ("alice", "nobody"):
        assert [attempt(login, "wrong") for _ in range(5)] == ["refused"] * 5
        waits = []
        for _ in range(12):
            waits.append(attempt(login, PASSWORD if len(waits) % 2 else "wrong"))
            now += timedelta(seconds=waits[-1])
            assert attempt(login, "wrong") == "refused"
        assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]
    now += timedelta(seconds=900)
    assert attempt("alice", PASSWORD) == "in"
    assert attempt("alice", "wrong") == "refused"
    assert attempt("alice", PASSWORD) == "in"


def test_failures_are_forgotten_after_an_hour(session: Session, settings: Settings) -> None:
    passwords = passwords_from_settings(settings.accounts)
    now = utc_now()
    for wait in (*[0] * 4, 3601, *[0] * 4):
        now += timedelta(seconds=wait)
        with pytest.raises(SignInRefused):
            sign_in_service(
                session,
                passwords=passwords,
                login="nobody",
                password="x",
                lifetime=timedelta(1),
                origin=SHELL,
                now=now,
            )


def test_a_locked_login_answers_429(client: FlaskClient, make_user: MakeUser) -> None:
    make_user()
    for _ in range(5):
        problem(
            client.post("/v1/auth/login", json={"login": "alice", "password": "x"}), 401, "accounts.sign_in_refused"
        )
    response = log_in(client, "Alice", PASSWORD)
    problem(response, 429, "accounts.sign_in_locked")
    assert response.headers["Retry-After"] == "1"


def test_guesses_made_at_once_all_count(app: Flask, make_user: MakeUser, session: Session) -> None:
    make_user()
    gate = threading.Barrier(9)

    def guess(_: int) -> int:
        client = app.test_client()
        gate.wait()
        return client.post("/v1/auth/login", json={"login": "alice", "password": "x"}).status_code

    with ThreadPoolExecutor(9) as pool:
        answers = sorted(pool.map(guess, range(9)))
    assert answers == [401] * 5 + [429] * 4


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


def test_an_address_signs_in_so_often(make_app: Callable[..., Flask], settings: Settings, make_user: MakeUser) -> None:
    make_user()
    limited = settings.model_copy(update={"http": settings.http.model_copy(update={"login_limit": "3 per minute"})})
    client = make_app(limited).test_client()
    for number in range(3):
        problem(log_in(client, f"guess-{number}", "x"), 401, "accounts.sign_in_refused")
    response = log_in(client, "alice", PASSWORD)
    problem(response, 429, "core.rate_limited")
    assert response.headers["RateLimit-Policy"] == '"sign_in";q=3;w=60'
    assert int(response.headers["Retry-After"]) >= 1


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
