"""API keys over HTTP: made, shown once, rotated, revoked, and never more than their owner."""

from __future__ import annotations

import hashlib
import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.core.clock import rfc3339, utc_now
from tests.accounts.conftest import PASSWORD, MakeUser, SignIn, World
from tests.core.test_problems import problem

Headers = dict[str, str]


@pytest.fixture
def alice(make_user: MakeUser, sign_in: SignIn) -> Headers:
    """Alice's access token: she may write jobs and make keys."""
    make_user("alice", "jobs:read", "jobs:write", "accounts:write")
    return sign_in("alice")["headers"]


def make_key(client: FlaskClient, headers: Headers, *scopes: str, **more: Any) -> dict[str, Any]:
    body = {"name": "bot", "scopes": list(scopes), **more}
    response = client.post("/v1/api-keys", json=body, headers=headers)
    assert response.status_code == 201, response.text
    return response.get_json()


def shows(key: str) -> Headers:
    return {"X-API-Key": key}


def me(client: FlaskClient, key: str):
    return client.get("/v1/me", headers=shows(key))


def test_a_key_speaks_as_its_owner_with_its_own_scopes(client: FlaskClient, alice: Headers) -> None:
    key = make_key(client, alice, "jobs:read")
    who = me(client, key["key"]).get_json()
    assert (who["login"], who["scopes"], who["method"]) == ("alice", ["jobs:read"], "api_key")


def test_only_a_hash_is_kept_and_the_key_is_shown_once(client: FlaskClient, alice: Headers, session: Session) -> None:
    key = make_key(client, alice, "jobs:read")
    assert re.fullmatch(r"wk_[0-9a-f]{32}_[A-Za-z0-9_-]{43}", key["key"])
    secret = key["key"].split("_", 2)[2]
    stored = session.execute(text("SELECT secret_sha256 FROM accounts_api_keys")).scalar_one()
    assert bytes(stored) == hashlib.sha256(secret.encode()).digest()
    assert secret not in client.get("/v1/api-keys", headers=alice).text
    assert secret not in str(session.execute(text("SELECT detail FROM audit_log")).scalars().all())


@pytest.mark.parametrize("change", ["wk_x", "", "secret", "id", "short", "long"])
def test_what_is_no_key_of_ours(world: World, change: str) -> None:
    key = make_key(world.client, world.alice["headers"], "jobs:read")["key"]
    wrong = {
        "secret": key[:-1] + ("A" if key[-1] != "A" else "B"),
        "id": key.replace(key[3:35], "0" * 32),
        "short": key[:-1],
        "long": key + "A",
    }.get(change, change)
    problem(me(world.client, wrong), 401, "accounts.key_refused")


def test_a_scope_the_key_lacks(client: FlaskClient, alice: Headers) -> None:
    key = make_key(client, alice, "jobs:read")
    response = client.post("/v1/api-keys", json={"name": "x", "scopes": []}, headers=shows(key["key"]))
    assert problem(response, 403, "core.forbidden")["required_scope"] == "accounts:write"


@pytest.mark.parametrize("scope", ["admin", "ops:write"])
def test_no_key_beyond_the_owner(client: FlaskClient, alice: Headers, scope: str) -> None:
    response = client.post("/v1/api-keys", json={"name": "x", "scopes": [scope]}, headers=alice)
    problem(response, 403, "accounts.scope_beyond_own")


def test_no_key_beyond_the_key_that_makes_it(client: FlaskClient, alice: Headers) -> None:
    lesser = make_key(client, alice, "accounts:write")
    body = {"name": "x", "scopes": ["jobs:write"]}
    response = client.post("/v1/api-keys", json=body, headers=shows(lesser["key"]))
    problem(response, 403, "accounts.scope_beyond_own")


def test_a_lesser_key_cannot_rotate_a_greater_one(client: FlaskClient, alice: Headers) -> None:
    greater, lesser = make_key(client, alice, "jobs:write"), make_key(client, alice, "accounts:write")
    response = client.post(f"/v1/api-keys/{greater['id']}/rotate", json={}, headers=shows(lesser["key"]))
    problem(response, 403, "accounts.scope_beyond_own")
    assert me(client, greater["key"]).status_code == 200


def test_an_administrator_may_make_any_key(client: FlaskClient, make_user: MakeUser, sign_in: SignIn) -> None:
    make_user("root", "admin")
    key = make_key(client, sign_in("root")["headers"], "ops:write")
    assert me(client, key["key"]).get_json()["scopes"] == ["ops:write"]


def test_a_key_loses_what_its_owner_loses(
    client: FlaskClient, alice: Headers, make_user: MakeUser, sign_in: SignIn, session: Session
) -> None:
    key = make_key(client, alice, "jobs:read", "jobs:write")
    make_user("root", "admin")
    user_id = session.execute(text("SELECT id FROM accounts_users WHERE login = 'alice'")).scalar_one()
    client.put(f"/v1/users/{user_id}/scopes", json={"scopes": ["jobs:read"]}, headers=sign_in("root")["headers"])
    assert me(client, key["key"]).get_json()["scopes"] == ["jobs:read"]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x", "scopes": ["jobs:delete"]}, "/scopes/0"),
        ({"name": "", "scopes": []}, "/name"),
        ({"name": "x" * 101, "scopes": []}, "/name"),
        ({"name": "x", "scopes": "admin"}, "/scopes"),
        ({"name": "x", "scopes": [], "expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"name": "x", "scopes": [], "expires_at": "tomorrow"}, "/expires_at"),
        ({"name": "x", "scopes": [], "user_id": "y"}, "/user_id"),
    ],
)
def test_a_bad_key_request(world: World, body: dict[str, Any], pointer: str) -> None:
    response = world.client.post("/v1/api-keys", json=body, headers=world.alice["headers"])
    assert problem(response, 422, "core.invalid_input")["errors"][0]["pointer"] == pointer
    kept = world.client.get("/v1/api-keys", headers=world.alice["headers"]).get_json()["data"]
    assert "x" not in [key["name"] for key in kept]


def test_a_key_expires(client: FlaskClient, second_client: FlaskClient, alice: Headers, session: Session) -> None:
    key = make_key(client, alice, "jobs:read", expires_at=rfc3339(utc_now() + timedelta(hours=1)))
    assert me(client, key["key"]).status_code == 200
    session.execute(text("UPDATE accounts_api_keys SET expires_at = now() - interval '1 second'"))
    session.commit()
    with time_machine.travel(utc_now() - timedelta(hours=1)):  # also where the machine's clock is slow
        problem(me(second_client, key["key"]), 401, "accounts.key_refused")
    response = client.post(f"/v1/api-keys/{key['id']}/rotate", json={}, headers=alice)
    problem(response, 409, "accounts.key_not_live")


def test_a_revoked_key_stops_everywhere(client: FlaskClient, second_client: FlaskClient, alice: Headers) -> None:
    key = make_key(client, alice, "jobs:read")
    assert me(second_client, key["key"]).status_code == 200
    for _ in range(2):
        assert client.delete(f"/v1/api-keys/{key['id']}", headers=alice).status_code == 204
    for each in (client, second_client):
        problem(me(each, key["key"]), 401, "accounts.key_refused")
    response = client.post(f"/v1/api-keys/{key['id']}/rotate", json={}, headers=alice)
    problem(response, 409, "accounts.key_not_live")


def test_a_rotated_key_has_its_grace(client: FlaskClient, second_client: FlaskClient, alice: Headers) -> None:
    key = make_key(client, alice, "jobs:read")
    assert me(second_client, key["key"]).status_code == 200
    second = client.post(f"/v1/api-keys/{key['id']}/rotate", json={"grace_seconds": 60}, headers=alice).get_json()
    assert second["id"] == key["id"]
    for shown in (key["key"], second["key"]):
        assert me(second_client, shown).status_code == 200
    third = client.post(f"/v1/api-keys/{key['id']}/rotate", json={"grace_seconds": 0}, headers=alice).get_json()
    for shown in (key["key"], second["key"]):
        problem(me(second_client, shown), 401, "accounts.key_refused")
    assert me(second_client, third["key"]).status_code == 200


def test_the_grace_ends(client: FlaskClient, second_client: FlaskClient, alice: Headers, session: Session) -> None:
    key = make_key(client, alice, "jobs:read")
    rotated = client.post(f"/v1/api-keys/{key['id']}/rotate", json={"grace_seconds": 60}, headers=alice).get_json()
    session.execute(text("UPDATE accounts_api_keys SET previous_until = now() - interval '1 second'"))
    session.commit()
    problem(me(second_client, key["key"]), 401, "accounts.key_refused")
    assert me(second_client, rotated["key"]).status_code == 200


def test_the_grace_is_an_hour_unless_asked(client: FlaskClient, alice: Headers, session: Session) -> None:
    key = make_key(client, alice, "jobs:read")
    client.post(f"/v1/api-keys/{key['id']}/rotate", json={}, headers=alice)
    grace = session.execute(text("SELECT previous_until - rotated_at FROM accounts_api_keys")).scalar_one()
    assert grace == timedelta(hours=1)


@pytest.mark.parametrize("grace", [-1, 604_801, "60", 1.5, True])
def test_a_bad_grace(world: World, grace: Any) -> None:
    key = make_key(world.client, world.alice["headers"], "jobs:read")
    path = f"/v1/api-keys/{key['id']}/rotate"
    response = world.client.post(path, json={"grace_seconds": grace}, headers=world.alice["headers"])
    assert problem(response, 422, "core.invalid_input")["errors"][0]["pointer"] == "/grace_seconds"


def test_somebody_elses_key_is_not_there(
    client: FlaskClient, alice: Headers, make_user: MakeUser, sign_in: SignIn
) -> None:
    key = make_key(client, alice, "jobs:read")
    make_user("bob", "admin")
    bob = sign_in("bob")["headers"]
    problem(client.delete(f"/v1/api-keys/{key['id']}", headers=bob), 404, "accounts.key_not_found")
    problem(client.post(f"/v1/api-keys/{key['id']}/rotate", json={}, headers=bob), 404, "accounts.key_not_found")
    assert client.get("/v1/api-keys", headers=bob).get_json()["data"] == []
    assert me(client, key["key"]).status_code == 200


def test_use_is_noted_once_a_minute(
    client: FlaskClient, second_client: FlaskClient, alice: Headers, session: Session
) -> None:
    def last_used() -> Any:
        session.rollback()
        return session.execute(text("SELECT last_used_at, xmin FROM accounts_api_keys")).one()

    key = make_key(client, alice, "jobs:read")
    assert last_used()[0] is None
    me(client, key["key"])
    noted = last_used()
    assert noted[0] is not None
    for each in (client, second_client):
        me(each, key["key"])
    assert last_used() == noted


def test_a_key_is_no_session(client: FlaskClient, alice: Headers) -> None:
    key = shows(make_key(client, alice, "jobs:read")["key"])
    problem(client.post("/v1/auth/logout", headers=key), 403, "accounts.session_required")
    body = {"current_password": PASSWORD, "password": "another long password"}
    problem(client.post("/v1/auth/password", json=body, headers=key), 403, "accounts.session_required")


def test_keys_are_listed_in_pages(client: FlaskClient, alice: Headers) -> None:
    made = [make_key(client, alice, "jobs:read")["id"] for _ in range(5)]
    seen: list[str] = []
    path: str | None = "/v1/api-keys?limit=2"
    while path:
        response = client.get(path, headers=alice)
        page = response.get_json()
        seen += [row["id"] for row in page["data"]]
        assert page["has_more"] is (page["next_cursor"] is not None)
        link = re.fullmatch(r'<(.*)>; rel="next"', response.headers.get("Link", ""))
        assert (link is not None) is page["has_more"]
        path = link[1] if link else None
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "cursor=x", "cursor=", "page=2", "limit=1&limit=2"]
)
def test_a_bad_page(world: World, query: str) -> None:
    response = world.client.get(f"/v1/api-keys?{query}", headers=world.alice["headers"])
    body = problem(response, 422, "core.invalid_input")
    assert body["errors"][0]["pointer"] == "?" + query.split("=")[0]
