"""A busy port: one sentence with the port, who holds it and the way out; an inner port moves instead."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from app.ops.adapters.embedded_valkey import EmbeddedValkey
from app.ops.adapters.process import free_port, port_is_taken
from app.ops.adapters.run_folder import RunFolder
from app.ops.errors import PortTaken
from app.ops.services import ports
from app.ops.services.stack import plan_stack
from config.groups import HttpSettings
from config.settings import Settings
from tests.ops.conftest import ROOT, RUNS, StackProcess

held = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a port cannot be held beside its server")


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


@pytest.fixture
def usual(monkeypatch: pytest.MonkeyPatch) -> int:
    """A port that is free, as the broker's usual one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setitem(ports.DEFAULTS, "broker", port)
    return port


def test_an_inner_port_stays_when_it_is_free(usual: int) -> None:
    assert ports.inner_port("broker") == usual


PLANS = """
import sys
from app.ops.services import ports
ports.DEFAULTS["broker"] = int(sys.argv[1])
print(ports.inner_port("broker"), flush=True)
sys.stdin.read()
"""


@held
def test_two_stacks_that_plan_before_either_starts_share_no_port(usual: int) -> None:
    command = [sys.executable, "-c", PLANS, str(usual)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert int(other.stdout.readline()) == usual, "nobody listens there yet"
        assert ports.inner_port("broker") != usual
        other.stdin.close()


@held
def test_a_server_listens_on_its_held_port_and_comes_back_to_it(tmp_path: Path) -> None:
    server = EmbeddedValkey("cache", tmp_path, free_port(), "password", tmp_path / "log")
    for _ in range(2):
        server.start()
        assert server.is_ready()
        server.process.kill()
        with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
            stranger.bind(("127.0.0.1", server.port))


@held
def test_two_stacks_that_start_at_once_are_each_on_their_own(
    stack: Callable[..., StackProcess], run: RunFolder
) -> None:
    both = [stack("broker", "cache", run=RunFolder(run.path.parent / name)) for name in ("one", "other")]
    for process in both:
        process.wait_for(RUNS)
    urls = [process.run.find_stack().environment[name] for process in both for name in ("BROKER_URL", "CACHE_URL")]
    assert len({urlsplit(url).port for url in urls}) == 4
    for url in urls:
        with Redis.from_url(url) as client:
            assert client.ping(), "it takes this stack's password"


def test_an_address_of_another_machine_is_one_sentence() -> None:
    with pytest.raises(PortTaken, match=r"the API cannot listen on 192\.0\.2\.1"):
        ports.public_port("the API", "HTTP__PORT", 8000, "192.0.2.1")
