"""A busy port: one sentence with the port, who holds it and the way out; an inner port moves instead."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from app.ops.adapters.process import free_port, port_is_taken
from app.ops.adapters.run_folder import RunFolder
from app.ops.errors import PortTaken
from app.ops.services import ports
from app.ops.services.stack import plan_stack
from config.settings import HttpSettings, Settings


@pytest.fixture(params=["127.0.0.1", ""], ids=["local", "every address"])
def listener(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of somebody who listens and, as granian does, would share it."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind((request.param, 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_busy_port_is_one_sentence_before_anything_starts(listener: int, run: RunFolder) -> None:
    settings = Settings(http=HttpSettings(port=listener))
    with pytest.raises(PortTaken) as refused:
        plan_stack(settings, run)
    sentence = str(refused.value)
    assert f"Port {listener} (the API) is taken by" in sentence
    assert f"(pid {os.getpid()})" in sentence
    assert "`HTTP__PORT=" in sentence
    assert sorted(path.name for path in run.path.iterdir()) == ["logs", "node"]


def test_a_port_held_without_listening_is_taken() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        assert port_is_taken(holder.getsockname()[1])


def test_a_port_whose_last_connection_lingers_is_free() -> None:
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the server's side closes first and so keeps the connection in TIME_WAIT
        client.close()
    assert not port_is_taken(port)


def test_an_inner_port_moves_out_of_the_way(listener: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ports.DEFAULTS, "broker", listener)
    moved = ports.inner_port("broker")
    assert moved != listener
    assert not port_is_taken(moved)


def test_an_inner_port_stays_when_it_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = free_port()
    monkeypatch.setitem(ports.DEFAULTS, "broker", usual)
    assert ports.inner_port("broker") == usual


def test_an_address_of_another_machine_is_one_sentence() -> None:
    with pytest.raises(PortTaken, match=r"the API cannot listen on 192\.0\.2\.1"):
        ports.public_port("the API", "HTTP__PORT", 8000, "192.0.2.1")
