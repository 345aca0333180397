"""A real streaming process on real Redis, the dispatcher's rounds by hand, and clients over real sockets."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any

import pytest
import requests
from pydantic import SecretStr
from redis import Redis
from sqlalchemy import Engine
from sqlalchemy.orm import Session
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from app.core.db import make_engine
from app.core.events import NewEvent, Standing, emit_all
from app.core.http.principal import Principal
from app.core.redis import make_redis
from app.menu import MENU
from app.ops.adapters import probes
from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import ServerProcess, free_port
from app.streaming.adapters.tickets import Tickets
from config.settings import Settings
from tasks.dispatcher import Dispatcher, make_dispatcher
from tests.conftest import ROOT

ME = "user:01a00000-0000-7000-8000-000000000001"
SERVE = "from config.settings import load_settings; from tasks.stream import serve; serve(load_settings())"
WAIT_SECONDS = 20.0
TOKEN = "the-metrics-token-of-these-tests-0123456789"


@dataclass
class StreamProcess:
    """The `stream` role as a process."""

    settings: Settings
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: ServerProcess | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        environment = os.environ | {
            "ENV_FILE": "",
            "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing",  # the role has no database
            "BROKER_URL": self.settings.broker_url.get_secret_value(),
            "CACHE_URL": self.settings.cache_url.get_secret_value(),
            "METRICS_TOKEN": TOKEN,
            "STREAM__PORT": str(self.port),
            **self.variables,
        }
        process = ServerProcess("stream", [sys.executable, "-c", SERVE], self.folder / f"stream-{self.port}.log")
        process.start(environment=environment, cwd=ROOT)
        self.process = process
        process.wait_ready(partial(probes.http_answers, f"{self.url}/health/ready"), WAIT_SECONDS)

    @property
    def log(self) -> str:
        assert self.process is not None
        assert self.process.log is not None
        return self.process.log.read_text()

    def terminate(self) -> None:
        assert self.process is not None
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGTERM)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None


class Socket:
    """A WebSocket reader: its messages one by one, events flattened."""

    def __init__(self, connection: ClientConnection):
        self.connection = connection
        self._events: list[dict[str, Any]] = []

    def message(self) -> dict[str, Any]:
        """The next message that is no heartbeat."""
        while True:
            message: dict[str, Any] = json.loads(self.connection.recv(WAIT_SECONDS))
            if message["type"] != "heartbeat":
                return message

    def event(self) -> dict[str, Any]:
        while not self._events:
            message = self.message()
            assert message["type"] == "events", message
            self._events += message["events"]
        return self._events.pop(0)

    def ids_until(self, last: int) -> list[int]:
        ids: list[int] = []
        while not ids or ids[-1] < last:
            ids.append(int(self.event()["id"]))
        return ids

    def close_code(self) -> tuple[int, str]:
        """What the server ends this with; what comes before is passed over."""
        with pytest.raises(ConnectionClosed) as closed:
            self._read_to_the_end()
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code, closed.value.rcvd.reason

    def _read_to_the_end(self) -> None:
        while True:
            self.connection.recv(WAIT_SECONDS)

    def cut(self) -> None:
        """As a network does: no farewell."""
        self.connection.socket.shutdown(SHUT_RDWR)


class Sse:
    """An SSE reader."""

    def __init__(self, answer: requests.Response):
        self.answer = answer
        self._lines = answer.iter_lines(chunk_size=None, decode_unicode=True)

    def message(self) -> tuple[str, str | None, dict[str, Any]]:
        """The next event: its name, its id, its data."""
        fields: dict[str, str] = {}
        for line in self._lines:
            if not line and fields:
                return fields["event"], fields.get("id"), json.loads(fields["data"])
            name, _, value = line.partition(": ")
            if name:
                fields[name] = value
        raise EOFError

    def ids_until(self, last: int) -> list[int]:
        ids: list[int] = []
        while not ids or ids[-1] < last:
            name, event_id, _ = self.message()
            assert name == "event"
            ids.append(int(event_id or ""))
        return ids

    def cut(self) -> None:
        self.answer.close()


@dataclass
class World:
    """The stream process with what feeds it and who reads it."""

    stream: StreamProcess
    settings: Settings
    engine: Engine
    dispatcher: Dispatcher
    redis: Redis
    cache: Redis
    open: ExitStack = field(default_factory=ExitStack)
    number: int = 0
    feed: int = 0

    @property
    def topic(self) -> str:
        """A price that no other test has moved."""
        return f"prices:{feed_id(self.feed)}"

    def emit(self, *events: NewEvent) -> int:
        """Commit events and let the dispatcher publish them; returns the last one's number."""
        with Session(self.engine) as session:
            emit_all(session, events)
            session.commit()
        self.dispatcher.round()
        self.number += len(events)
        return self.number

    def prices(self, *values: int) -> int:
        """One event a value, on this test's feed."""
        return self.emit(*(price(value, self.feed) for value in values))

    def ticket(self, *topics: str, principal: str = ME, expires_at: datetime | None = None, session: str = "s") -> str:
        """A ticket as the API leaves it."""
        who = Principal(principal, frozenset(), "session", session, expires_at)
        tickets = Tickets(self.cache, 30)
        return tickets.put(who, topics or ("prices:*",), tickets.now_ms())

    def socket(self, *topics: str, resume: int | None = None, ticket: str | None = None, **options: Any) -> Socket:
        """A WebSocket with a ticket of its own, unless one is given."""
        word = self.ticket(*topics, **options) if ticket is None else ticket
        query = f"?ticket={word}" + ("" if resume is None else f"&resume={resume}")
        address = f"ws://127.0.0.1:{self.stream.port}/v1/stream{query}"
        connecting = connect(address, open_timeout=WAIT_SECONDS, close_timeout=1, max_size=None)
        return Socket(self.open.enter_context(connecting))

    def get(self, ticket: str, *, resume: int | str | None = None, **headers: str) -> requests.Response:
        """An SSE request."""
        given = headers | ({} if resume is None else {"Last-Event-ID": str(resume)})
        params = {"ticket": ticket} if ticket else {}
        url = f"{self.stream.url}/v1/stream"
        answer = requests.get(url, params=params, headers=given, stream=True, timeout=WAIT_SECONDS)
        return self.open.enter_context(answer)

    def sse(self, *topics: str, resume: int | None = None, **options: Any) -> Sse:
        """An SSE stream with a ticket of its own."""
        answer = self.get(self.ticket(*topics, **options), resume=resume)
        assert answer.status_code == 200, answer.text
        return Sse(answer)


def price(value: int, feed: int) -> NewEvent:
    return NewEvent("prices", feed_id(feed), {"price": str(value)}, Standing.STATE)


def feed_id(feed: int) -> str:
    return f"0x{feed:064x}"


MakeWorld = Callable[..., World]


@contextmanager
def broker_in(folder: Path) -> Iterator[EmbeddedValkey]:
    server = EmbeddedValkey("broker", folder / "broker", free_port(), secrets.token_hex(8), folder / "broker.log")
    server.start()
    yield server
    server.stop()


@contextmanager
def world_maker(settings: Settings, broker: EmbeddedValkey, folder: Path) -> Iterator[MakeWorld]:
    """Starts the process beside a dispatcher, with variables of a test's own."""
    made = ExitStack()
    fed = settings.model_copy(update={"broker_url": SecretStr(broker.url)})

    def make(**variables: str) -> World:
        engine = make_engine(settings.database_url.get_secret_value(), pool_size=2)
        made.callback(engine.dispose)
        dispatcher = make_dispatcher(fed, MENU)
        made.callback(dispatcher._engine.dispose)
        dispatcher.round()
        stream = StreamProcess(fed, folder, variables)
        cache = make_redis(settings.cache_url.get_secret_value())
        world = World(stream, fed, engine, dispatcher, make_redis(broker.url), cache)
        made.callback(lambda: world.open.close())
        made.callback(stream.stop)
        stream.start()
        return world

    with made:
        yield make


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[EmbeddedValkey]:
    """A broker that a test may flush and kill."""
    with broker_in(tmp_path) as broker:
        yield broker


@pytest.fixture
def make_world(settings: Settings, own_broker: EmbeddedValkey, tmp_path: Path) -> Iterator[MakeWorld]:
    """For tests that need other settings, or break something."""
    with world_maker(settings, own_broker, tmp_path) as make:
        yield make


@pytest.fixture
def own_world(make_world: MakeWorld) -> World:
    return make_world()


@pytest.fixture(scope="module")
def module_world(shared_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("world")
    with broker_in(folder) as broker, world_maker(shared_settings, broker, folder) as make:
        yield make()


@pytest.fixture
def world(module_world: World) -> Iterator[World]:
    """One process for a module's tests, which share its numbers; what a test has opened is closed behind it."""
    module_world.feed += 1
    yield module_world
    with module_world.open:
        module_world.open = ExitStack()
