"""People to sign in as, made through the service that `manage.py user` calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from app.accounts.adapters import passwords_from_settings
from app.accounts.services.users import create_user
from app.accounts.types import Scope, User
from app.core.clock import utc_now
from app.core.db import make_engine
from app.core.http.principal import Origin
from config.settings import Settings
from tests.conftest import app_maker

PASSWORD = "correct horse battery"
SHELL = Origin(actor="cli:root")

MakeUser = Callable[..., User]
SignIn = Callable[..., dict[str, Any]]


@pytest.fixture
def make_user(session: Session, settings: Settings) -> MakeUser:
    """Adds a user and commits."""
    return user_maker(session, settings)


def user_maker(session: Session, settings: Settings) -> MakeUser:
    """What `make_user` gives, for fixtures of another scope."""
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
        return signed_in(by, login, password)

    return sign


def signed_in(client: FlaskClient, login: str, password: str = PASSWORD) -> dict[str, Any]:
    """The answer of signing in, and the header that shows its access token."""
    response = client.post("/v1/auth/login", json={"login": login, "password": password})
    assert response.status_code == 200, response.text
    return response.get_json() | {"headers": bearer(response.get_json()["access_token"])}


@dataclass(frozen=True)
class World:
    """One app with its users signed in, which a module's tests share: for those that are refused."""

    client: FlaskClient
    root: dict[str, Any]
    alice: dict[str, Any]


@pytest.fixture(scope="module")
def world(shared_settings: Settings) -> Iterator[World]:
    """`root` is an administrator; `alice` holds every other scope."""
    engine = make_engine(shared_settings.database_url.get_secret_value())
    with app_maker(shared_settings) as make, Session(engine) as session:
        make_user = user_maker(session, shared_settings)
        make_user("root", "admin")
        make_user("alice", *(scope for scope in Scope if scope != Scope.ADMIN))
        client = make().test_client()
        yield World(client, signed_in(client, "root"), signed_in(client, "alice"))
    engine.dispose()


@pytest.fixture
def second_client(make_app: Callable[..., Flask]) -> FlaskClient:
    """Another process of the same deployment: its own memory, the same database and cache."""
    return make_app().test_client()


def bearer(token: str) -> dict[str, str]:
    """The header that shows a token."""
    return {"Authorization": f"Bearer {token}"}
