"""Every route against every way of not being allowed to call it; then the same call by who may, which must succeed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from redis import Redis
from sqlalchemy.orm import Session

from app.accounts.types import Scope
from app.core.http.guard import Guard, guard_of
from tests.core.test_problems import problem
from tests.security.strangers import REFUSED, REVOKED, Stranger, strangers, warmed
from tests.security.table import METRICS, PUBLIC, TABLE, Call, Entry
from tests.security.world import World

Outcome = tuple[int, str | None]
Lacking = Callable[[str], dict[str, dict[str, str]]]
GUARDED = [entry for entry in TABLE if entry.may not in (PUBLIC, METRICS)]
SCOPED = [entry for entry in GUARDED if entry.scope]
OPEN = [entry for entry in TABLE if entry.may == PUBLIC]


@pytest.fixture(scope="module")
def refused(world: World) -> list[Stranger]:
    return strangers(world)


@pytest.fixture(scope="module")
def lacking(world: World) -> Lacking:
    """Good credentials that hold every scope but this one, by what they are."""

    @cache
    def without(scope: str) -> dict[str, dict[str, str]]:
        others = [each for each in Scope if each not in (scope, Scope.ADMIN)]
        plain, stripped = world.person(*others), warmed(world, world.person(scope))
        path = f"/v1/users/{stripped.user.id}/scopes"
        answer = world.client.put(path, json={"scopes": others}, headers=world.root.by_token)
        assert answer.status_code == 200
        with Session(world.engine) as session:
            narrow = world.make_key(session, world.root.user._replace(scopes=others))
            session.commit()
        return {
            "a token": plain.by_token,
            "a key": plain.by_key,
            "the token of somebody whose scope was taken away": stripped.by_token,
            "the key of somebody whose scope was taken away": stripped.by_key,
            "a key that holds less than its owner": {"X-API-Key": narrow.secret},
        }

    return without


def send(client: Any, call: Call, headers: dict[str, str], method: str | None = None) -> Any:
    return client.open(call.path, method=method or call.method, json=call.json, headers=call.headers | headers)


def outcome(answer: Any) -> Outcome:
    """Status and code; a refusal must be a whole problem."""
    if answer.status_code < 400:
        return answer.status_code, None
    code: str = answer.get_json()["code"]
    problem(answer, answer.status_code, code)
    return answer.status_code, code


def test_every_route_has_an_entry_and_every_entry_a_route(world: World) -> None:
    routes = {
        (method, rule.rule)
        for rule in world.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    entries = Counter((entry.method, entry.rule) for entry in TABLE)
    assert routes - set(entries) == set(), "these routes have no entry in tests/security/table.py"
    assert set(entries) - routes == set(), "these entries have no route"
    assert [entry for entry, count in entries.items() if count > 1] == []


def test_guards_and_document_say_what_the_table_says(world: World) -> None:
    document = world.client.get("/openapi.json").get_json()["paths"]
    views = {
        (method, rule.rule): world.app.view_functions[rule.endpoint]
        for rule in world.app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    for entry in TABLE:
        guard = guard_of(views[entry.method, entry.rule])
        assert guard == Guard(signed_in=entry in GUARDED, scope=entry.scope), entry
        if entry.rule.startswith("/v1/"):
            operation = document[entry.path_in_document][entry.method.lower()]
            assert operation.get("x-required-scope") == entry.scope, entry
            assert bool(operation["security"]) == (entry in GUARDED), entry


@pytest.mark.parametrize("entry", GUARDED, ids=str)
def test_credentials_that_open_nothing(world: World, refused: list[Stranger], entry: Entry) -> None:
    call = entry.call(world, world.root)
    before = world.digest()
    expected = {stranger.name: (401, stranger.code) for stranger in refused}
    assert {one.name: outcome(send(world.client, call, one.headers)) for one in refused} == expected
    with Redis.from_url(world.settings.cache_url.get_secret_value()) as redis:
        redis.flushall()
    for one in refused:
        if one.code in (REVOKED, REFUSED):  # some of them were good, and this process remembers it
            assert (one.name, outcome(send(world.other_process, call, one.headers))) == (one.name, (401, one.code))
    if call.method == "GET":
        assert send(world.client, call, {}, "HEAD").status_code == 401
    assert world.digest() == before, "a refused call has changed something"


@pytest.mark.parametrize("entry", SCOPED, ids=str)
def test_credentials_without_the_scope(world: World, lacking: Lacking, entry: Entry) -> None:
    assert entry.scope is not None
    call, shown = entry.call(world, world.root), lacking(entry.scope)
    before = world.digest()
    for client in (world.client, world.other_process):
        for name, headers in shown.items():
            answer = send(client, call, headers)
            assert (name, outcome(answer)) == (name, (403, "core.forbidden"))
            assert answer.get_json()["required_scope"] == entry.scope
    assert world.digest() == before, "a refused call has changed something"


@pytest.mark.parametrize("entry", GUARDED, ids=str)
def test_who_may(world: World, entry: Entry) -> None:
    """One scope is enough, an administrator needs none; a key may what its token may, unless the entry says less."""
    for scopes in ([entry.scope] if entry.scope else [], [Scope.ADMIN]):
        caller = world.person(*scopes, *entry.also)
        assert send(world.client, entry.call(world, caller), caller.by_key).status_code == (
            entry.key_status or entry.status
        )
        assert send(world.client, entry.call(world, caller), caller.by_token).status_code == entry.status


@pytest.mark.parametrize("entry", OPEN, ids=str)
def test_what_is_public_asks_for_nothing(world: World, refused: list[Stranger], entry: Entry) -> None:
    for stranger in refused[::5]:
        answer = send(world.client, entry.call(world, world.root), stranger.headers)
        assert (stranger.name, answer.status_code) == (stranger.name, entry.status)


@pytest.mark.parametrize("entry", [entry for entry in TABLE if entry.may == METRICS], ids=str)
def test_what_the_metrics_token_opens(world: World, refused: list[Stranger], entry: Entry) -> None:
    call = entry.call(world, world.root)
    assert send(world.client, call, {}).status_code == entry.status
    for headers in (*(one.headers for one in refused), world.root.by_token, world.root.by_key):
        answer = world.client.open(call.path, method=call.method, headers=headers)
        assert outcome(answer) == (401, "core.unauthenticated")
