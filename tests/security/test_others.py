"""What belongs to one caller, seen by another who holds the same scopes: nothing, or the same 404 as for what is not.

Which of it a route promises stands in the table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session

from app.menu import MENU
from tests.core.test_problems import problem
from tests.security.subjects import queued_job
from tests.security.table import TABLE, Entry, Others
from tests.security.test_matrix import send
from tests.security.world import Person, World

LONG_ENOUGH_TO_BE_ANYBODYS = 16  # an id, a key, a time with microseconds; not a status or a kind
HIDDEN = [entry for entry in TABLE if entry.others is Others.HIDDEN]
OWN = [entry for entry in TABLE if entry.others is Others.OWN]
REACHED = [entry for entry in HIDDEN if entry.reached_with]


def two_of(world: World, entry: Entry) -> tuple[Person, Person]:
    """Two callers with what the entry asks for and no more."""
    scopes = [entry.scope] if entry.scope else []
    return world.person(*scopes), world.person(*scopes)


def without_request(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "request_id"}


@pytest.mark.parametrize("entry", HIDDEN, ids=str)
def test_anothers_is_not_there(world: World, entry: Entry) -> None:
    alice, bob = two_of(world, entry)
    call = entry.call(world, alice)
    nowhere = entry.about({name: str(uuid4()) for name in call.parts})
    before = world.digest()
    for headers in (bob.by_token, bob.by_key):
        refused, absent = (send(world.client, each, headers) for each in (call, nowhere))
        problem(refused, 404, refused.get_json()["code"])
        assert without_request(refused.get_json()) == without_request(absent.get_json())
    assert world.digest() == before
    assert send(world.client, call, alice.by_token).status_code == entry.status


@pytest.mark.parametrize("entry", REACHED, ids=str)
def test_an_operator_reaches_it(world: World, entry: Entry) -> None:
    assert entry.scope is not None
    assert entry.reached_with is not None
    alice = world.person(entry.scope)
    other = "ops:write" if entry.reached_with == "ops:read" else "ops:read"
    operator, no_operator = world.person(entry.scope, entry.reached_with), world.person(entry.scope, other)
    call = entry.call(world, alice)
    assert send(world.client, call, no_operator.by_token).status_code == 404
    assert send(world.client, call, operator.by_token).status_code == entry.status


@pytest.mark.parametrize("entry", OWN, ids=str)
def test_everybody_works_on_their_own(world: World, entry: Entry) -> None:
    alice, bob = two_of(world, entry)
    her_call = entry.call(world, alice)
    his = send(world.client, entry.call(world, bob), bob.by_token)
    assert world.client.get("/v1/me", headers=alice.by_token).status_code == 200
    hers = send(world.client, her_call, alice.by_token)
    assert (his.status_code, hers.status_code) == (entry.status, entry.status)
    if entry.status != 204:
        seen_by_him, seen_by_her = set(marks(his.get_json())), set(marks(hers.get_json()))
        assert seen_by_her
        assert seen_by_him & seen_by_her == set()


@pytest.mark.parametrize("asked", ["*", "alice", "system"])
def test_the_list_of_anothers_jobs_needs_ops_read(world: World, asked: str) -> None:
    alice, bob, operator = world.person("jobs:read"), world.person("jobs:read"), world.person("jobs:read", "ops:read")
    queued_job(world, alice)
    path = f"/v1/jobs?principal={alice.principal if asked == 'alice' else asked}"
    problem(world.client.get(path, headers=bob.by_token), 403, "core.forbidden")
    assert world.client.get(path, headers=operator.by_token).status_code == 200


def test_nobody_hands_on_or_takes_what_they_do_not_hold(world: World) -> None:
    """A key cannot be made with more scopes than are shown, nor one that has more be given a new secret."""
    alice = world.person("accounts:write")
    body = {"name": "more", "scopes": ["admin"]}
    problem(world.client.post("/v1/api-keys", json=body, headers=alice.by_key), 403, "accounts.scope_beyond_own")
    strong = world.person("accounts:write", "jobs:write")
    with Session(world.engine) as session:
        weak = world.make_key(session, strong.user._replace(scopes=["accounts:write"]))
        session.commit()
    path = f"/v1/api-keys/{strong.key.key.id}/rotate"
    refused = world.client.post(path, json={}, headers={"X-API-Key": weak.secret})
    problem(refused, 403, "accounts.scope_beyond_own")


def test_a_kind_of_job_needs_its_own_scope(world: World) -> None:
    """Submitting is one scope; what a kind does is another. What has none of its own nobody submits."""
    everything_else = {kind.scope for kind in MENU.kinds.values()} - {None, "jobs:write"}
    assert everything_else
    caller, administrator = world.person("jobs:write"), world.person("admin")
    before = world.digest()
    for name, kind in MENU.kinds.items():
        body = {"kind": name, "params": {}}
        if kind.scope != "jobs:write":
            problem(world.client.post("/v1/jobs", json=body, headers=caller.by_token), 403, "core.forbidden")
            (item,) = world.client.post("/v1/jobs/batch", json={"jobs": [body]}, headers=caller.by_token).json["data"]
            assert (item["status"], item["job"]) == (403, None)
        if kind.scope is None:
            problem(world.client.post("/v1/jobs", json=body, headers=administrator.by_token), 403, "core.forbidden")
    assert world.digest() == before


def marks(value: Any) -> Iterator[str]:
    """Every string that can belong to one caller only."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from marks(inner)
    elif isinstance(value, str) and len(value) >= LONG_ENOUGH_TO_BE_ANYBODYS:
        yield value
