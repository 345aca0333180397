"""People to sign in as, made through the service that `manage.py user` calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from app.accounts.adapters import passwords_from_settings
from app.accounts.services.users import create_user
from app.accounts.types import User
from app.core.clock import utc_now
from app.core.http.principal import Origin
from config.settings import Settings

PASSWORD = "correct horse battery"
SHELL = Origin(actor="cli:root")

MakeUser = Callable[..., User]
SignIn = Callable[..., dict[str, Any]]


@pytest.fixture
def make_user(session: Session, settings: Settings) -> MakeUser:
    """Adds a user and commits."""
    passwords = passwords_from_settings(settings.accounts)

    def make(login: str = "alice", *scopes: str, password: str = PASSWORD) -> User:
        user = create_user(
            session, passwords=passwords, login=login, password=password, scopes=scopes, origin=SHELL, now=utc_now()
        )
        session.commit()
        return user

    return make


@pytest.fixture
def sign_in(client: FlaskClient) -> SignIn:
    """Signs in over HTTP: the tokens, with the header that shows the access token."""

    def sign(login: str = "alice", password: str = PASSWORD, by: FlaskClient = client) -> dict[str, Any]:
        response = by.post("/v1/auth/login", json={"login": login, "password": password})
        assert response.status_code == 200, response.text
        return response.get_json() | {"headers": bearer(response.get_json()["access_token"])}

    return sign


@pytest.fixture
def second_client(make_app: Callable[..., Flask]) -> FlaskClient:
    """Another process of the same deployment: its own memory, the same database and cache."""
    return make_app().test_client()


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}
