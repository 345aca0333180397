"""Administering users over HTTP, and the log of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.accounts.adapters import passwords_from_settings
from app.accounts.errors import UnknownScope, UserNotFound
from app.accounts.services.audit import record
from app.accounts.services.users import create_user, get_user_by_login
from app.core.clock import utc_now
from app.core.http.principal import Origin
from app.ops.adapters.process import free_port
from config.settings import Settings
from tests.accounts.conftest import PASSWORD, SHELL, MakeUser, SignIn, World
from tests.core.test_problems import problem

Headers = dict[str, str]
NEW = {"login": "Carol", "password": PASSWORD, "scopes": ["jobs:read"]}


@pytest.fixture
def admin(make_user: MakeUser, sign_in: SignIn) -> Headers:
    make_user("root", "admin")
    return sign_in("root")["headers"]


def test_an_administrator_adds_a_user(client: FlaskClient, admin: Headers, sign_in: SignIn) -> None:
    response = client.post("/v1/users", json=NEW, headers=admin)
    assert response.status_code == 201
    made = response.get_json()
    assert (made["login"], made["scopes"], made["is_active"]) == ("carol", ["jobs:read"], True)
    assert "password" not in response.text
    assert client.get(response.headers["Location"], headers=admin).get_json() == made
    sign_in("carol")


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"login": "a"}, "accounts.bad_login", "/login"),
        ({"login": "with space"}, "accounts.bad_login", "/login"),
        ({"login": "käthe"}, "accounts.bad_login", "/login"),
        ({"login": "new\nline"}, "accounts.bad_login", "/login"),
        ({"login": "carol\n"}, "accounts.bad_login", "/login"),
        ({"login": "x" * 255}, "core.invalid_input", "/login"),
        ({"password": "short"}, "accounts.weak_password", "/password"),
        ({"password": "carol and more"}, "accounts.weak_password", "/password"),
        ({"password": 12}, "core.invalid_input", "/password"),
        ({"scopes": ["root"]}, "core.invalid_input", "/scopes/0"),
        ({"scopes": None}, "core.invalid_input", "/scopes"),
        ({"is_active": True}, "core.invalid_input", "/is_active"),
    ],
)
def test_a_bad_user(world: World, change: dict[str, Any], code: str, pointer: str) -> None:
    response = world.client.post("/v1/users", json=NEW | change, headers=world.root["headers"])
    assert problem(response, 422, code)["errors"][0]["pointer"] == pointer
    users = world.client.get("/v1/users", headers=world.root["headers"]).get_json()["data"]
    assert [user["login"] for user in users] == ["alice", "root"]


def test_a_login_is_taken_in_any_case(client: FlaskClient, admin: Headers) -> None:
    client.post("/v1/users", json=NEW, headers=admin)
    problem(client.post("/v1/users", json=NEW | {"login": "CAROL"}, headers=admin), 409, "accounts.login_taken")


def test_of_two_users_with_one_login_at_once_one_is_made(app: Flask, admin: Headers) -> None:
    gate = threading.Barrier(4)

    def add(_: int) -> int:
        client = app.test_client()
        gate.wait()
        return client.post("/v1/users", json=NEW, headers=admin).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(add, range(4))) == [201, 409, 409, 409]


def test_a_deactivated_user_is_shut_out_everywhere(
    client: FlaskClient, second_client: FlaskClient, admin: Headers, make_user: MakeUser, sign_in: SignIn
) -> None:
    user = make_user("alice", "accounts:write")
    tokens = sign_in("alice")
    key = client.post("/v1/api-keys", json={"name": "x", "scopes": []}, headers=tokens["headers"]).get_json()
    shown = {"X-API-Key": key["key"]}
    for headers in (tokens["headers"], shown):
        assert second_client.get("/v1/me", headers=headers).status_code == 200

    assert client.post(f"/v1/users/{user.id}/deactivate", headers=admin).get_json()["is_active"] is False
    for each in (client, second_client):
        problem(each.get("/v1/me", headers=tokens["headers"]), 401, "accounts.token_revoked")
        problem(each.get("/v1/me", headers=shown), 401, "accounts.key_refused")
    body = {"refresh_token": tokens["refresh_token"]}
    problem(client.post("/v1/auth/refresh", json=body), 401, "accounts.token_revoked")
    right = {"login": "alice", "password": PASSWORD}
    problem(client.post("/v1/auth/login", json=right), 401, "accounts.sign_in_refused")

    assert client.post(f"/v1/users/{user.id}/activate", headers=admin).get_json()["is_active"] is True
    assert second_client.get("/v1/me", headers=shown).status_code == 200
    problem(second_client.get("/v1/me", headers=tokens["headers"]), 401, "accounts.token_revoked")
    sign_in("alice")


def test_an_administrator_is_not_locked_out_by_themselves(
    client: FlaskClient, admin: Headers, session: Session
) -> None:
    own = session.execute(text("SELECT id FROM accounts_users")).scalar_one()
    problem(client.post(f"/v1/users/{own}/deactivate", headers=admin), 409, "accounts.own_account")
    problem(client.put(f"/v1/users/{own}/scopes", json={"scopes": []}, headers=admin), 409, "accounts.own_account")


NOBODY = "0192f0c1-aaaa-7bbb-8ccc-ddddeeeeffff"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"/v1/users/{NOBODY}", None),
        ("POST", f"/v1/users/{NOBODY}/deactivate", None),
        ("POST", f"/v1/users/{NOBODY}/activate", None),
        ("PUT", f"/v1/users/{NOBODY}/scopes", {"scopes": []}),
    ],
)
def test_no_such_user(world: World, method: str, path: str, body: Any) -> None:
    response = world.client.open(path, method=method, json=body, headers=world.root["headers"])
    problem(response, 404, "accounts.user_not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/users"),
        ("GET", "/v1/users"),
        ("GET", f"/v1/users/{NOBODY}"),
        ("POST", f"/v1/users/{NOBODY}/deactivate"),
        ("POST", f"/v1/users/{NOBODY}/activate"),
        ("PUT", f"/v1/users/{NOBODY}/scopes"),
        ("GET", "/v1/audit"),
    ],
)
def test_only_administrators(world: World, method: str, path: str) -> None:
    response = world.client.open(path, method=method, json={}, headers=world.alice["headers"])
    assert problem(response, 403, "core.forbidden")["required_scope"] == "admin"


def test_every_change_is_in_the_log(client: FlaskClient, admin: Headers, session: Session) -> None:
    made = client.post("/v1/users", json=NEW, headers=admin | {"X-Request-ID": "request-0001"}).get_json()
    client.post(f"/v1/users/{made['id']}/deactivate", headers=admin)
    log = client.get("/v1/audit?limit=2", headers=admin).get_json()
    root = session.execute(text("SELECT id FROM accounts_users WHERE login = 'root'")).scalar_one()
    assert [(entry["action"], entry["actor"], entry["subject"]) for entry in log["data"]] == [
        ("users.deactivate", f"user:{root}", f"user:{made['id']}"),
        ("users.create", f"user:{root}", f"user:{made['id']}"),
    ]
    created = log["data"][1]
    assert created["request_id"] == "request-0001"
    assert created["ip"] == "127.0.0.1"
    assert created["detail"] == {"login": "carol", "scopes": ["jobs:read"]}
    assert PASSWORD not in client.get("/v1/audit", headers=admin).text


def test_a_refused_change_is_not_in_the_log(client: FlaskClient, admin: Headers, session: Session) -> None:
    client.post("/v1/users", json=NEW | {"password": "short"}, headers=admin)
    assert (
        "users.create"
        not in session.execute(text("SELECT action FROM audit_log WHERE actor <> 'cli:root'")).scalars().all()
    )


def test_the_log_is_read_by_actor_action_and_subject_in_pages(client: FlaskClient, admin: Headers) -> None:
    for number in range(3):
        client.post("/v1/users", json=NEW | {"login": f"user-{number}"}, headers=admin)
    query = "/v1/audit?action=users.create&limit=2"
    first = client.get(query, headers=admin).get_json()
    second = client.get(f"{query}&cursor={first['next_cursor']}", headers=admin).get_json()
    logins = [entry["detail"]["login"] for entry in first["data"] + second["data"]]
    assert logins == ["user-2", "user-1", "user-0", "root"]
    subject = first["data"][0]["subject"]
    of_one = client.get(f"/v1/audit?subject={subject}", headers=admin).get_json()["data"]
    assert [entry["subject"] for entry in of_one] == [subject]
    assert client.get("/v1/audit?actor=system", headers=admin).get_json()["data"] == []


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "TRUNCATE audit_log"]
)
def test_the_log_only_grows(session: Session, statement: str) -> None:
    record(session, Origin("system"), "jobs.cancel", "job:1")
    session.commit()
    with pytest.raises(DBAPIError, match="append-only"):
        session.execute(text(statement))


def test_the_log_keeps_no_secret(session: Session) -> None:
    record(
        session, Origin("system"), "x.y", "z:1", {"password": "hunter2", "url": "redis://:hunter2@cache", "n": 10**30}
    )
    detail = session.execute(text("SELECT detail::text FROM audit_log")).scalar_one()
    assert "hunter2" not in detail
    assert str(10**30) in detail


def test_a_command_line_is_told_what_is_wrong(session: Session, settings: Settings) -> None:
    """`manage.py user` calls the services with whatever was typed."""
    passwords = passwords_from_settings(settings.accounts)
    with pytest.raises(UnknownScope, match="scope"):
        create_user(
            session,
            passwords=passwords,
            login="dave",
            password=PASSWORD,
            scopes=["jobs:all"],
            origin=SHELL,
            now=utc_now(),
        )
    with pytest.raises(UserNotFound):
        get_user_by_login(session, "dave")


def test_without_a_database_it_says_so(make_app: Callable[..., Flask], settings: Settings, world: World) -> None:
    dead = f"postgresql://wk:secret@127.0.0.1:{free_port()}/wk"
    client = make_app(Settings(**settings.model_dump() | {"database_url": dead}, _env_file=None)).test_client()
    sign_in = client.post("/v1/auth/login", json={"login": "root", "password": PASSWORD})
    for response in (sign_in, client.get("/v1/me", headers=world.root["headers"])):
        assert problem(response, 503, "core.unavailable")["retryable"] is True
        assert int(response.headers["Retry-After"]) >= 1
        assert "secret" not in response.text
