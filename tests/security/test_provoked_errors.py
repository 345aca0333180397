"""Errors provoked on purpose, by servers that repeat everything they were sent: job row, answer and log hold no key."""

from __future__ import annotations

import io
import json
import logging
import re
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import structlog
from flask import Flask
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.chain.adapters.rpc import Call, Provider
from app.core.db import make_engine
from app.core.outbound import Outbound
from app.jobs.services.enqueue import enqueue
from app.jobs.types import NewJob
from app.oracle.adapters.hermes import Hermes
from config.logging import configure_logging
from config.settings import Settings
from tasks.base import process_message
from tasks.runtime import Runtime
from tests.core.raw_server import Server
from tests.jobs.conftest import make_kind
from tests.security.search import Search

KEYS = {
    "a key in the path": "path-key-4f6a%2Bb1c2",
    "a key in the query": "query-key-90d1e2f3a4",
    "a key as user name": "user-key-77aa88bb99",
    "a password in the URL": "password-5b6c7d8e9f",
    "a bearer key": "bearer-key-0a1b2c3d4e",
    "a database's password": "database-key-c0ffee11",
}
ONE_TRY = make_kind("test.provoked", max_attempts=1)


@pytest.fixture
def logged(settings: Settings) -> Iterator[io.StringIO]:
    """Everything any library of this process logs."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging(settings.model_copy(update={"log_level": "DEBUG"}), stream)
    yield stream
    root.handlers, root.level = before, level
    structlog.reset_defaults()


def echoes(status: str) -> Callable[[Server, Any], None]:
    """Answers with the whole request, in a JSON-RPC error where it was a call, and hangs up."""

    def answer(server: Server, connection: Any) -> None:
        if server.read(connection):
            head, _, body = server.requests[-1].decode().partition("\r\n\r\n")
            basic = re.search(r"Basic (\S+)", head)
            meant = b64decode(basic[1]).decode() if basic else ""
            fault = {"code": -32000, "message": f"invalid api key: {meant} {head} {unquote(head)}"}
            calls = json.loads(body or "{}")
            answers = [{"jsonrpc": "2.0", "id": call["id"], "error": fault} for call in calls if isinstance(call, dict)]
            told = json.dumps(answers or {"jsonrpc": "2.0", "id": calls.get("id"), "error": fault}).encode()
            place = f"Location: http://x.test/{head.split()[1]}"
            frame = f"HTTP/1.1 {status}\r\n{place}\r\nConnection: close\r\nContent-Length: {len(told)}\r\n\r\n"
            connection.sendall(frame.encode() + told)

    return answer


def hangs_up(server: Server, connection: Any) -> None:
    server.read(connection)


WRONGS = {status: echoes(status) for status in ("200 OK", "302 Found", "401 No", "429 Wait", "500 Broken")}


@contextmanager
def supplier(answer: Callable[[Server, Any], None] | None) -> Iterator[str]:
    """A URL full of keys, of a server that answers so; of none at all without an answer."""
    server = Server(answer or hangs_up)
    if answer is None:
        server.stop()
    keys = list(KEYS.values())
    yield f"http://{keys[2]}:{keys[3]}@127.0.0.1:{server.port}/v2/{keys[0]}?token={keys[1]}"
    if answer is not None:
        server.stop()


def run_job(context: Runtime, work: Callable[[Any], Any]) -> None:
    """A job that does this, in a worker's way."""
    with Session(context.engine) as session:
        job_id = enqueue(session, NewJob(kind=ONE_TRY, params={}, principal="user:test"))
        session.commit()
    process_message(context, ONE_TRY, work, [job_id])


@pytest.fixture
def context(settings: Settings) -> Iterator[Runtime]:
    runtime = Runtime(settings)
    yield runtime
    runtime.engine.dispose()


def ask_everything(context: Runtime, address: str) -> None:
    """Each of our clients asks there, in a job of its own."""
    bearer = KEYS["a bearer key"]
    provider = Provider(address, chain_id=1, timeout_seconds=2, attempts=1)
    hermes = Hermes(address.partition("?")[0], SecretStr(bearer), timeout_seconds=2, backoff_seconds=0.001)
    outbound = Outbound(pool_size=1, connect_seconds=1, read_seconds=1, deadline_seconds=2)
    run_job(context, lambda _: {"block": provider.call("eth_blockNumber")})
    run_job(context, lambda _: {"blocks": provider.batch([Call("eth_blockNumber")])})
    run_job(context, lambda _: {"prices": hermes.latest([b"\1" * 32])})
    run_job(context, lambda _: {"status": outbound.call("GET", address, headers={"X-Key": bearer}).status})
    provider.close()
    outbound.close()


def test_no_key_of_a_supplier_is_in_a_job_or_a_log(context: Runtime, logged: io.StringIO) -> None:
    for answer in (*WRONGS.values(), hangs_up, None):
        with supplier(answer) as address:
            ask_everything(context, address)
    with context.engine.connect() as connection:
        codes = set(connection.execute(text("SELECT error ->> 'code' FROM jobs WHERE status = 'failed'")).scalars())
    assert codes >= {"chain.bad_key", "chain.node_unreachable", "oracle.source_refused", "oracle.source_unavailable"}
    assert "core.internal" not in codes
    assert "job_attempt_failed" in logged.getvalue()
    search = Search(KEYS | {"the key, decoded": unquote(KEYS["a key in the path"])})
    assert search.tables(context.engine) == []
    assert search.content("log", logged.getvalue().encode()) == []


def test_a_wrong_database_password_is_said_nowhere(
    settings: Settings, make_app: Callable[..., Flask], logged: io.StringIO
) -> None:
    given = settings.database_url.get_secret_value()
    password = KEYS["a database's password"]
    wrong = SecretStr(given.replace(f":{urlsplit(given).password}@", f":{password}@"))
    client = make_app(settings.model_copy(update={"database_url": wrong})).test_client()
    answers = [client.get(path) for path in ("/health/ready", "/v1/jobs", "/metrics")]
    answers.append(client.post("/v1/auth/login", json={"login": "alice", "password": password}))
    assert {answer.status_code for answer in answers} == {503, 401}
    with pytest.raises(Exception, match="password authentication failed") as refused:
        make_engine(wrong.get_secret_value()).connect()
    logging.getLogger("test").error("as a process would", exc_info=refused.value)
    shown = b"".join(answer.data for answer in answers) + logged.getvalue().encode()
    assert b"password authentication failed" in shown
    assert Search(KEYS).content("answers and log", shown) == []


def test_a_statement_that_fails_does_not_show_its_values(settings: Settings) -> None:
    engine = make_engine(settings.database_url.get_secret_value())
    login = {"hash": KEYS["a database's password"]}
    insert = text(
        "INSERT INTO accounts_users (id, login, password_hash, scopes) VALUES (gen_random_uuid(), 'a', :hash, '{}')"
    )
    with pytest.raises(IntegrityError) as refused, engine.begin() as connection:
        connection.execute(insert, [login, login])
    engine.dispose()
    assert login["hash"] not in str(refused.value)
