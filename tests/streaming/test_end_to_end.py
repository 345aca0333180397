"""The whole way, by real processes: API, dispatcher, streaming; what a service writes reaches who may see it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from websockets.sync.client import connect

from app.accounts.adapters import passwords_from_settings, standings_from_settings
from app.accounts.services.cli_users import UserDesk
from app.core.http.principal import Origin
from app.ops.adapters import probes
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import ServerProcess, free_port
from app.oracle.services.feeds import register_feeds
from app.oracle.services.refresh import record
from app.oracle.types import Feed, Price
from config.settings import Settings
from tests.conftest import ROOT
from tests.streaming.conftest import WAIT_SECONDS, Socket, Sse, StreamProcess

FEED = Feed(bytes.fromhex("ab" * 32), "ETH/USD", "pyth")
NAME = f"prices:0x{FEED.id.hex()}"
LOGIN, PASSWORD = "reader@example.org", "correct horse battery"
DISPATCH = "from config.settings import load_settings; from tasks.dispatcher import serve; serve(load_settings())"


@dataclass
class Stack:
    """Three processes, a user, and the database to write to."""

    api: str
    stream: StreamProcess
    engine: Engine
    opened: ExitStack

    def post(self, path: str, body: Any, token: str | None = None, **headers: str) -> Any:
        given = headers | ({"Authorization": f"Bearer {token}"} if token else {})
        answer = requests.post(self.api + path, json=body, headers=given, timeout=WAIT_SECONDS)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def sign_in(self) -> str:
        token: str = self.post("/v1/auth/login", {"login": LOGIN, "password": PASSWORD})["access_token"]
        return token

    def socket(self, ticket: Any, query: str = "") -> Socket:
        address = ticket["url"].replace("http://", "ws://") + f"?ticket={ticket['ticket']}{query}"
        return Socket(self.opened.enter_context(connect(address, open_timeout=WAIT_SECONDS)))

    def price(self, value: int) -> None:
        """What a refresh records."""
        with Session(self.engine) as session:
            at = datetime.fromtimestamp(1_700_000_000 + value, UTC)
            price = Price(
                feed=FEED.id,
                price=value,
                conf=1,
                expo=-2,
                publish_time=at,
                ema_price=value,
                ema_conf=1,
                slot=value,
                sequence=value,
            )
            assert record(session, {FEED.id: FEED}, [price])
            session.commit()


@pytest.fixture
def stack(settings: Settings, engine: Engine, own_broker: EmbeddedValkey, tmp_path: Path) -> Iterator[Stack]:
    settings = settings.model_copy(update={"broker_url": type(settings.broker_url)(own_broker.url)})
    stream, port = StreamProcess(settings, tmp_path), free_port()
    environment = os.environ | {
        "ENV_FILE": "",
        "DATABASE_URL": settings.database_url.get_secret_value(),
        "BROKER_URL": own_broker.url,
        "CACHE_URL": settings.cache_url.get_secret_value(),
        "STREAM__PORT": str(stream.port),
    }
    serve = ["-m", "granian", "--interface", "wsgi", "--port", str(port), "--factory", "--blocking-threads", "8"]
    api = ServerProcess("api", [sys.executable, *serve, "app.factory:create_app"], tmp_path / "api.log")
    dispatcher = ServerProcess("dispatcher", [sys.executable, "-c", DISPATCH], tmp_path / "dispatcher.log")
    with ExitStack() as stack:
        for process in (api, dispatcher):
            stack.callback(process.kill)
            process.start(environment=environment, cwd=ROOT)
        stack.callback(stream.stop)
        stream.start()
        url = f"http://127.0.0.1:{port}"
        api.wait_ready(partial(probes.http_answers, f"{url}/health/live"), 60)
        desk = UserDesk(
            engine,
            passwords_from_settings(settings.accounts),
            standings_from_settings(settings),
            Origin("cli:test"),
            datetime.now(UTC),
        )
        desk.create(LOGIN, PASSWORD, ["oracle:read", "jobs:read", "jobs:write", "jobs:cancel"])
        with Session(engine) as session:
            register_feeds(session, [FEED])
            session.commit()
        yield Stack(url, stream, engine, stack)


def test_from_the_transaction_to_the_socket(stack: Stack) -> None:
    token = stack.sign_in()
    job = stack.post("/v1/jobs", {"kind": "jobs.probe", "params": {}}, token, **{"Idempotency-Key": "one"})["id"]
    reader = stack.socket(stack.post("/v1/stream-tickets", {"topics": ["prices:ETH/USD", f"jobs:{job}"]}, token))
    first = reader.message()
    assert first["topics"].keys() == {NAME, f"jobs:{job}"}
    if not first["topics"][f"jobs:{job}"]:  # its present state may be on its way still
        assert reader.event()["data"]["status"] == "queued"
    stack.price(250_000)
    event = reader.event()
    assert (event["topic"], event["data"]["symbol"], event["data"]["price"]) == (NAME, "ETH/USD", "2500.00")
    stack.post(f"/v1/jobs/{job}/cancel", {}, token)
    event = reader.event()
    assert (event["topic"], event["data"]["status"]) == (f"jobs:{job}", "cancelled")

    followed = stack.opened.enter_context(
        requests.get(
            f"{stack.api}/v1/stream?topic=prices:*",
            headers={"Authorization": f"Bearer {token}", "Last-Event-ID": event["id"]},
            stream=True,
            timeout=WAIT_SECONDS,
        )
    )
    led = Sse(followed)
    assert led.message()[0] == "resumed"
    stack.price(260_000)
    assert led.message()[2]["data"]["price"] == "2600.00"
    assert reader.event()["data"]["price"] == "2600.00"

    stack.post("/v1/auth/logout", None, token)
    assert reader.close_code() == (4401, "streaming.access_ended")
    name, _, problem = led.message()
    assert (name, problem["code"]) == ("close", "streaming.access_ended")
