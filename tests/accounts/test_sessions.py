"""Signing in, refreshing, signing out: over HTTP, on real Postgres."""

from __future__ import annotations

from flask.testing import FlaskClient

from tests.accounts.conftest import MakeUser, SignIn


def test_me(client: FlaskClient, make_user: MakeUser, sign_in: SignIn) -> None:
    user = make_user("Alice@Example.org", "jobs:read")
    tokens = sign_in("alice@example.ORG")
    me = client.get("/v1/me", headers=tokens["headers"]).get_json()
    assert me["id"] == str(user.id)
    assert me["login"] == "alice@example.org"
    assert me["scopes"] == ["jobs:read"]
    assert me["method"] == "session"
    assert me["last_login_at"] is not None
