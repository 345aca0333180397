"""The whole app's routes and its document: everything guarded, everything described, nothing dangling."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.accounts.types import Scope
from app.core.http.blueprint import Blueprint
from app.core.http.guard import guard_of, public, require
from config.settings import Settings
from tests.conftest import app_maker
from tests.core.test_problems import problem

PUBLIC = {
    "/openapi.json",
    "/docs",
    "/docs/docs.css",
    "/v1/auth/login",
    "/v1/auth/refresh",
    "/health/live",
    "/health/ready",
    "/metrics",
}


@pytest.fixture(scope="module")
def whole_app(shared_settings: Settings) -> Iterator[Flask]:
    with app_maker(shared_settings) as make:
        yield make()


@pytest.fixture(scope="module")
def client(whole_app: Flask) -> FlaskClient:
    return whole_app.test_client()


@pytest.fixture(scope="module")
def spec(client: FlaskClient) -> dict[str, Any]:
    response = client.get("/openapi.json")
    assert response.mimetype == "application/json"
    document: dict[str, Any] = response.get_json()
    return document


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            if method != "parameters":
                yield f"{method.upper()} {path}", operation


def walk(node: Any) -> Iterator[Any]:
    yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(inner)


def test_every_route_is_guarded(whole_app: Flask) -> None:
    open_to_all = set()
    for rule in whole_app.url_map.iter_rules():
        guard = guard_of(whole_app.view_functions[rule.endpoint])
        assert guard is not None, rule
        assert guard.scope is None or guard.scope in set(Scope), rule
        if not guard.signed_in:
            open_to_all.add(rule.rule)
    assert open_to_all == PUBLIC


def test_every_guarded_route_refuses_a_stranger(whole_app: Flask, client: FlaskClient) -> None:
    tried = 0
    for rule in whole_app.url_map.iter_rules():
        if rule.rule in PUBLIC:
            continue
        path = re.sub(r"<[^>]+>", "0192f0c1-aaaa-7bbb-8ccc-ddddeeeeffff", rule.rule)
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}:
            problem(client.open(path, method=method), 401, "core.unauthenticated")
            tried += 1
    assert tried > 15


def test_a_view_without_a_guard_cannot_be_registered() -> None:
    blueprint = Blueprint("loose", __name__)
    with pytest.raises(TypeError, match="@require"):
        blueprint.route("/loose")(lambda: "")
    with pytest.raises(TypeError, match="@require"):
        blueprint.route("/hidden")(blueprint.response(200)(require("jobs:read")(lambda: "")))
    with pytest.raises(TypeError, match="@require"):
        blueprint.route("/covered")(blueprint.response(200)(public(lambda: "")))


def test_the_document_is_openapi_31(spec: dict[str, Any]) -> None:
    assert spec["openapi"] == "3.1.0"
    assert set(spec["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    references = {node["$ref"] for node in walk(spec) if isinstance(node, dict) and "$ref" in node}
    assert references
    for reference in references:
        node: Any = spec
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_every_operation_says_who_may_and_how_it_fails(spec: dict[str, Any], whole_app: Flask) -> None:
    for name, operation in operations(spec):
        assert "security" in operation, name
        assert operation["summary"], name
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/DEFAULT_ERROR"}, name
        if operation.get("x-required-scope"):
            assert operation["x-required-scope"] in set(Scope)
            assert operation["security"] == [{"bearer": []}, {"apiKey": []}]
    for response in spec["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]


def test_bodies_and_queries_are_described_as_strict(spec: dict[str, Any]) -> None:
    login = spec["paths"]["/v1/auth/login"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = spec["components"]["schemas"][login["$ref"].rsplit("/", 1)[-1]]
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"login", "password"}
    limit = next(p for p in spec["paths"]["/v1/users"]["get"]["parameters"] if p["name"] == "limit")
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"], limit["schema"]["default"]) == (1, 200, 50)


class Page(HTMLParser):
    """What a page would load, and what it shows."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: set[str] = set()
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name == "src" or (tag == "link" and name == "href"):
                self.loads.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")


def test_the_page_shows_every_operation_and_loads_nothing_from_outside(
    spec: dict[str, Any], client: FlaskClient
) -> None:
    response = client.get("/docs")
    assert response.mimetype == "text/html"
    page = Page()
    page.feed(response.text)
    assert page.loads == ["/docs/docs.css"]
    assert page.inline == []
    assert "script" not in page.tags
    assert "style" not in page.tags
    assert client.get("/docs/docs.css").mimetype == "text/css"
    for name, operation in operations(spec):
        assert f"<code>{name.split(' ')[1]}</code>" in response.text
        assert operation["summary"].split("\n")[0] in response.text.replace("&#39;", "'")
