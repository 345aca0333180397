"""Signing in: whoever is refused, how long it takes, and what locks a login."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from argon2 import PasswordHasher, extract_parameters
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.accounts.adapters import passwords_from_settings
from app.accounts.errors import SignInLocked, SignInRefused
from app.accounts.services.sign_in import sign_in as sign_in_service
from app.core.clock import utc_now
from config.groups import AccountsSettings
from config.settings import Settings
from tests.accounts.conftest import PASSWORD, SHELL, MakeUser, SignIn
from tests.core.test_problems import problem


def log_in(client: FlaskClient, login: str, password: str):
    return client.post("/v1/auth/login", json={"login": login, "password": password})


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


class CountingHasher(PasswordHasher):
    """The real hasher, which notes what it was made to work on."""

    worked_on: list[str]

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # the parameter's name is the library's
        self.worked_on.append(str(hash))
        return super().verify(hash, password)


def test_an_unknown_login_costs_what_a_wrong_password_does(
    session: Session, make_user: MakeUser, settings: Settings
) -> None:
    make_user()
    passwords = passwords_from_settings(settings.accounts)
    passwords._hasher = counting = CountingHasher(time_cost=1, memory_cost=64, parallelism=1)
    counting.worked_on = []
    for login in ("alice", "nobody"):
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
    known, unknown = map(extract_parameters, counting.worked_on)
    assert known == unknown


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
