"""Schemathesis over the document: whatever a client sends, no 5xx, and every answer is one that the document promises.

`make fuzz` looks longer. Beside random values there are those at every boundary of
every field, valid and not.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from schemathesis import Case
from schemathesis.checks import CHECKS, load_all_checks

from tests.security.document import api
from tests.security.subjects import rest
from tests.security.table import METRICS, TABLE, Entry
from tests.security.test_matrix import send
from tests.security.world import World

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "5"))
FUZZ = settings(max_examples=EXAMPLES, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))

# What is wrong with a request that its schema allows: no schema can say these.
BEYOND_A_SCHEMA = {
    "?cursor": "given out by the list before, with a checksum",
    "?to": "not before `from`; nor `to_block` before `from_block`",
    "?protocol": "followed by the deployment, and said where several are",
    "?contract": "one of the protocol's file",
    "?event": "one of the contracts' ABIs, and named where an argument is asked for",
    "?arg": "an indexed argument of the event, of its type",
    "/kind": "on the menu, which /v1/job-kinds gives",
    "/params": "by the kind's own schema, which /v1/job-kinds gives",
    "/expires_at": "after run_at, and in the future",
    "/callback_url": "an address that may be called",
    "/topics": "a topic of the grammar, and of what there is; not more than STREAM__MAX_TOPICS",
    "?topic": "the same",
    "/login": "letters and signs of a login",
    "/password": "without the login in it",
    "?market": "named where the protocol has more than a transaction can carry",
    **dict.fromkeys(("/market", "/position", "/side"), "where the action of the order needs it, and only there"),
    **dict.fromkeys(("/size", "/collateral", "/price_limit"), "the same, above zero, in digits the contract can hold"),
    "/cadence": "an interval or a crontab that comes to pass, in a zone that exists",
}
REFUSED_FORMS = {
    "Not a valid integer.": "1.0 is an integer to a schema, and not to us",
    "Must not contain a NUL character.": "Postgres keeps none",
    "Not valid UTF-8.": "half a character is none",
    "Out of range.": "a time is between 1970 and 9998",
}

load_all_checks()
# Credentials are the matrix's; what is refused although the schema allows it is judged here, with its pointers.
LEFT_OUT = CHECKS.get_by_names(["ignored_auth", "positive_data_acceptance"])
DESCRIBED = [entry for entry in TABLE if entry.rule not in ("/openapi.json", "/docs", "/docs/docs.css")]


def operation_of(entry: Entry) -> Any:
    return api[entry.path_in_document][entry.method]


def ask(case: Case, world: World, headers: dict[str, str], left_out: Sequence[Any] = LEFT_OUT) -> None:
    """Send it, and hold the answer against the document."""
    answer = case.call_and_validate(app=world.app, headers=headers, excluded_checks=left_out)
    if answer.status_code in (400, 422) and case.meta is not None and case.meta.generation.mode.is_positive:
        assert [error for error in answer.json()["errors"] if not is_beyond_a_schema(error)] == []


def is_beyond_a_schema(error: dict[str, str]) -> bool:
    return error["pointer"].startswith(tuple(BEYOND_A_SCHEMA)) or error["detail"] in REFUSED_FORMS


def test_the_document_describes_every_route_and_no_other() -> None:
    described = {(method.upper(), path) for path, item in api.raw_schema["paths"].items() for method in item}
    assert {(entry.method, entry.path_in_document) for entry in DESCRIBED} == {
        (method, path) for method, path in described if method != "PARAMETERS"
    }


@pytest.mark.parametrize("entry", DESCRIBED, ids=str)
def test_a_right_call_gets_what_is_described(world: World, entry: Entry) -> None:
    caller = world.person("admin")
    answer = send(world.client, entry.call(world, caller), caller.by_token if entry.may != METRICS else {})
    assert answer.status_code == entry.status
    operation_of(entry).validate_response(answer)


@api.parametrize()
@FUZZ
def test_anything_may_be_sent(case: Case, world: World) -> None:
    if case.operation.path == "/health/ready":
        rest(world, world.root)
    ask(case, world, world.root.by_key)


@pytest.mark.parametrize("entry", DESCRIBED, ids=str)
def test_anything_may_be_sent_by_nobody(world: World, entry: Entry) -> None:
    entry.subject(world, world.root)

    @FUZZ
    @given(case=operation_of(entry).as_strategy())
    def check(case: Case) -> None:
        ask(case, world, {})

    check()


@pytest.mark.parametrize("entry", [entry for entry in DESCRIBED if "<" in entry.rule or entry.key_status], ids=str)
def test_anything_may_be_said_of_what_is_there(world: World, entry: Entry) -> None:
    """With ids that exist, and a session where a key will not do: beyond the 404 and the 403."""

    @FUZZ
    @given(case=operation_of(entry).as_strategy())
    def check(case: Case) -> None:
        caller = world.person("admin")
        case.path_parameters = dict(entry.subject(world, caller))
        ask(case, world, caller.by_token, [*LEFT_OUT, *CHECKS.get_by_names(["negative_data_rejection"])])

    check()
