"""Strings that mean something to SQL, to a log, to a terminal or to a parser, put into everything a route takes.

They are data and nothing else: no 5xx, no table gone or changed that should not be, and one line of JSON an event.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import product
from typing import Any
from urllib.parse import quote

import pytest

from config.logging import configure_logging
from tests.conftest import app_maker
from tests.core.test_logging import configured  # noqa: F401  (a fixture)
from tests.security.document import api
from tests.security.subjects import Parts
from tests.security.table import TABLE, Entry
from tests.security.world import World

PAYLOADS = {
    "a quote that ends the statement": "x'; DROP TABLE jobs; --",
    "always true": "' OR '1'='1",
    "a union": "x') UNION SELECT secret_sha256::text FROM accounts_api_keys --",
    "a comment": "x/**/OR/**/1=1#",
    "a sleep": "1; SELECT pg_sleep(30)--",
    "dollar quotes": "$$; DELETE FROM accounts_users; $$",
    "a bound name": ":principal %(principal)s {0} %s",
    "a backslash": "\\'; DROP TABLE audit_log; --",
    "NUL": "x\x00y",
    "new lines": 'x\r\n{"event": "forged", "level": "info"}\r\n',
    "a colour and a bell": "\x1b[2J\x1b[31mred\x07",
    "a line separator": "x\u2028forged\u2029\x85",
    "right to left": "\u202e gnirts",
    "a template": "{{7*7}}${7*7}<script>alert(1)</script>",
    "a path": "../../../../etc/passwd",
    "half a character": "x\ud800",
    "a very long one": "a" * 9_000,
}
HEADERS = ("X-Request-ID", "Idempotency-Key", "User-Agent", "X-Forwarded-For", "Prefer", "If-None-Match", "Accept")
# What a payload may add to where it is a right value; nothing else changes, and a GET changes nothing.
MAY_CHANGE = {"jobs", "job_keys", "accounts_users", "accounts_api_keys", "accounts_sign_in_attempts", "audit_log"}
UNSTORABLE = {"NUL", "half a character"}
JSON = {"content_type": "application/json"}


@pytest.fixture
def lines(world: World, configured: None) -> io.StringIO:  # noqa: F811
    """What is logged, as a deployment logs it."""
    stream = io.StringIO()
    configure_logging(world.settings, stream)
    return stream


def check_log(lines: io.StringIO, requests: int) -> None:
    """Each line is an event of its own, and nothing in it but ASCII and what JSON escapes."""
    raw = lines.getvalue()
    assert [letter for letter in raw if not " " <= letter <= "\x7e" and letter != "\n"] == []
    events = [json.loads(line) for line in raw.splitlines()]
    assert sum(event["event"] == "request" for event in events) == requests
    assert [event for event in events if event["event"] == "forged" or event["level"] == "error"] == []


def poisoned(value: Any, payload: str) -> Iterator[Any]:
    """The body once for each of its strings, with the payload there; and with the payload as a name."""
    if isinstance(value, dict):
        for key, inner in value.items():
            for changed in poisoned(inner, payload):
                yield value | {key: changed}
        yield value | {payload: payload}
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for changed in poisoned(inner, payload):
                yield [*value[:index], changed, *value[index + 1 :]]
        yield [*value, payload]
    elif isinstance(value, str):
        yield payload


def query_of(entry: Entry) -> list[str]:
    """The query parameters that the document gives the route."""
    item = api.raw_schema["paths"].get(entry.path_in_document, {})
    parameters = item.get(entry.method.lower(), {}).get("parameters", [])
    return [parameter["name"] for parameter in parameters if parameter["in"] == "query"]


def requests_of(entry: Entry, parts: Parts, payload: str) -> Iterator[dict[str, Any]]:
    """The entry's right call with the payload in one place after the other."""
    call = entry.about(parts)
    text = quote(payload.encode("utf-8", "surrogatepass"), safe="")
    for name in parts if "<" in entry.rule else ():
        yield {"path": entry.about(parts | {name: text}).path, "json": call.json}
    for name in (*query_of(entry), text):
        yield {"path": f"{call.path}?{name}={text}", "json": call.json}
    for body in poisoned(call.json, payload) if call.json is not None else ():
        yield {"path": call.path, "data": json.dumps(body), **JSON}


@pytest.mark.parametrize("entry", TABLE, ids=str)
def test_a_string_is_only_a_string(world: World, lines: io.StringIO, entry: Entry) -> None:
    parts, sent = entry.subject(world, world.root), 0
    lines.seek(0), lines.truncate()  # making the subject may have asked, too
    before = world.digest()
    for name, payload in PAYLOADS.items():
        for request in requests_of(entry, parts, payload):
            answer = world.client.open(method=entry.method, headers=world.root.by_key, **request)
            assert answer.status_code < 500 or entry.rule == "/health/ready", (name, request, answer.text)
            sent += 1
    check_log(lines, sent)
    after = world.digest()
    changed = {table for table in before.keys() | after.keys() if before.get(table) != after.get(table)}
    assert changed <= (set() if entry.method == "GET" else MAY_CHANGE)


def test_headers_are_only_strings(world: World, lines: io.StringIO) -> None:
    """As the server hands them on: bytes as Latin-1. Behind a proxy, whose word on the address is believed."""
    http = world.settings.http.model_copy(update={"trusted_proxies": 1})
    sent = 0
    with app_maker(world.settings.model_copy(update={"http": http})) as make:
        client = make().test_client()
        for header, (name, payload) in product(HEADERS, PAYLOADS.items()):
            raw = payload.encode("utf-8", "surrogatepass").decode("latin-1")
            environ = {f"HTTP_{header.upper().replace('-', '_')}": raw}
            body = {"kind": "jobs.probe", "params": {}}
            answer = client.post("/v1/jobs", json=body, headers=world.root.by_key, environ_overrides=environ)
            assert answer.status_code in (202, 400), (header, name, answer.text)
            assert "\n" not in "".join(answer.headers.values())
            sent += 1
    check_log(lines, sent)


@pytest.mark.parametrize("name", PAYLOADS)
def test_what_can_be_kept_comes_back_as_it_was(world: World, name: str) -> None:
    body = json.dumps({"kind": "jobs.probe", "params": {"note": PAYLOADS[name]}})
    answer = world.client.post("/v1/jobs", data=body, headers=world.root.by_key, **JSON)
    if name in UNSTORABLE:
        assert answer.status_code == 422
    else:
        read = world.client.get(answer.headers["Location"], headers=world.root.by_token)
        assert read.get_json()["params"] == {"note": PAYLOADS[name]}
