"""A probe blueprint on the real shell: real Postgres, real cache, and tokens that name their principal."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_smorest import Api
from marshmallow import fields
from sqlalchemy import text

from app.core.errors import Conflict, Unauthenticated
from app.core.http.blueprint import Blueprint
from app.core.http.guard import current_principal, public, require
from app.core.http.principal import Credentials, Principal
from app.core.http.schema import Int, QueryInt, StrictSchema, Text
from app.core.http.unit_of_work import after_commit, commit_request, current_session
from config.settings import Settings
from tests.conftest import app_maker

TABLE = (
    "CREATE TABLE IF NOT EXISTS probe (id int PRIMARY KEY, parent int REFERENCES probe DEFERRABLE INITIALLY DEFERRED)"
)


def authenticate(credentials: Credentials) -> Principal:
    """`alice+jobs:read+admin` is Alice with two scopes."""
    name, *scopes = (credentials.bearer or credentials.api_key or "").split("+")
    if name not in ("alice", "bob"):
        raise Unauthenticated("The token is not valid.")
    return Principal(id=f"user:{name}", scopes=frozenset(scopes), method="session")


class Inner(StrictSchema):
    feeds = fields.List(Int())


class Body(StrictSchema):
    name = Text(required=True)
    params = fields.Nested(Inner)


class Query(StrictSchema):
    limit = QueryInt()
    tag = fields.List(Text())


def probe_blueprint(woken: list[str]) -> Blueprint:
    """One route for each thing the edge promises."""
    blueprint = Blueprint("probe", __name__, url_prefix="/v1/probe", description="Probes")
    _add_argument_routes(blueprint)
    _add_writing_routes(blueprint, woken)
    _add_failing_routes(blueprint)
    return blueprint


def _add_argument_routes(blueprint: Blueprint) -> None:
    @blueprint.route("/me", methods=["GET"])
    @require()
    @blueprint.response(200)
    def me():
        return {"id": current_principal().id}

    @blueprint.route("/cached", methods=["GET"])
    @require()
    @blueprint.response(200)
    def cached():
        return {}, {"Cache-Control": "private, max-age=5"}

    @blueprint.route("/body", methods=["POST"])
    @require("jobs:write")
    @blueprint.arguments(Body)
    @blueprint.response(201, Body)
    def body(document):
        """Take a body."""
        return document

    @blueprint.route("/query", methods=["GET"])
    @public
    @blueprint.arguments(Query, location="query")
    @blueprint.response(200)
    def query(values):
        return values

    @blueprint.route("/open/<string:name>", methods=["GET"])
    @public
    @blueprint.response(200)
    def open_to_all(name):
        return {"name": name}


def _add_writing_routes(blueprint: Blueprint, woken: list[str]) -> None:
    @blueprint.route("/rows/<int:number>", methods=["PUT"])
    @public
    @blueprint.response(200)
    def put_row(number):
        current_session().execute(text("INSERT INTO probe VALUES (:n)"), {"n": number})
        after_commit(lambda: woken.append(f"row {number}"))
        return {}

    @blueprint.route("/orphans/<int:number>", methods=["PUT"])
    @public
    @blueprint.response(200)
    def put_orphan(number):
        current_session().execute(text("INSERT INTO probe VALUES (:n, 99)"), {"n": number})
        after_commit(lambda: woken.append("never"))
        return {}

    @blueprint.route("/conflicts/<int:number>", methods=["PUT"])
    @public
    def put_conflict(number):
        current_session().execute(text("INSERT INTO probe VALUES (:n)"), {"n": number})
        raise Conflict("No.", live_job="7")

    @blueprint.route("/twice/<int:number>", methods=["PUT"])
    @public
    @blueprint.response(200)
    def put_twice(number):
        current_session().execute(text("INSERT INTO probe VALUES (:n)"), {"n": number})
        after_commit(lambda: woken.append("once"))
        commit_request()
        current_session().execute(text("INSERT INTO probe VALUES (:n)"), {"n": number + 1})
        return {}

    @blueprint.route("/early/<int:number>", methods=["PUT"])
    @public
    def put_early(number):
        current_session().execute(text("INSERT INTO probe VALUES (:n)"), {"n": number})
        after_commit(lambda: 1 / 0)
        after_commit(lambda: woken.append("early"))
        commit_request()
        raise Conflict()


def _add_failing_routes(blueprint: Blueprint) -> None:
    @blueprint.route("/sql", methods=["GET"])
    @public
    @blueprint.response(200)
    def sql():
        return {"sum": current_session().execute(text("SELECT 1 + 1")).scalar()}

    @blueprint.route("/broken-sql", methods=["GET"])
    @public
    def broken_sql():
        current_session().execute(text("SELECT nonsense"))

    @blueprint.route("/severed", methods=["GET"])
    @public
    def severed():
        current_session().execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    @blueprint.route("/sqlstate/<state>", methods=["GET"])
    @public
    def failing(state):
        # The server's own words: SQLSTATEs are what it means, not what the driver makes of them.
        current_session().execute(text(f"DO $$ BEGIN RAISE 'no' USING ERRCODE = '{state}'; END $$"))

    @blueprint.route("/crash", methods=["GET"])
    @public
    def crash():
        raise RuntimeError("the password is hunter2")


@pytest.fixture
def woken() -> list[str]:
    """What the after-commit callbacks did."""
    return []


@pytest.fixture
def make_probe(make_app: Callable[..., Flask], woken: list[str]) -> Callable[..., FlaskClient]:
    """Clients of apps with the probe on them, on the test's own database."""

    def make(*args) -> FlaskClient:
        return with_probe(make_app(*args, authenticate=authenticate), woken)

    return make


@pytest.fixture
def own_probe(make_probe: Callable[..., FlaskClient]) -> FlaskClient:
    """A client of the probe on the test's own database."""
    return make_probe()


@pytest.fixture(scope="module")
def probe(shared_settings: Settings) -> Iterator[FlaskClient]:
    """A client of the probe for tests that leave nothing behind."""
    with app_maker(shared_settings) as make:
        yield with_probe(make(authenticate=authenticate), [])


def with_probe(app: Flask, woken: list[str]) -> FlaskClient:
    """Put the probe on an app, and its table into the database."""
    api: Api = app.extensions["flask-smorest"]["apis"][""]["ext_obj"]
    api.register_blueprint(probe_blueprint(woken))
    with app.app_context(), app.extensions["sqlalchemy"].engine.begin() as connection:
        connection.execute(text(TABLE))
    return app.test_client()
