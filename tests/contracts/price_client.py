"""A price server as a process, and a client of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import requests

from app.ops.adapters.process import ServerProcess, free_port
from contracts.feeds import FEEDS
from tests.contracts.pnau_reader import Blob, read

BTC_ID, ETH_ID, SOL_ID = (feed.price_id.hex() for feed in FEEDS)
LATEST_PATH = "/v2/updates/price/latest"
STREAM_PATH = "/v2/updates/price/stream"


class Client:
    """A server process and a session with it."""

    def __init__(self, process: ServerProcess, port: int):
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.session = requests.Session()

    def get(self, path: str, **query: Any) -> requests.Response:
        parameters = {"ids[]" if name == "ids" else name: value for name, value in query.items()}
        return self.session.get(self.url + path, params=parameters, timeout=5)

    def latest(self, *ids: str, **query: Any) -> dict[str, Any]:
        answer = self.get(LATEST_PATH, ids=ids, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def order(self, **orders: dict[str, Any]) -> requests.Response:
        named = {name.replace("_", "-"): order for name, order in orders.items()}
        return self.session.post(self.url + "/dev/prices", json=named, timeout=5)

    def answers(self) -> bool:
        try:
            return self.get("/live").ok
        except requests.ConnectionError:
            return False


def start(folder: Path, seed: int = 1) -> Client:
    port = free_port()
    command = [sys.executable, "-m", "contracts.price_server", "--port", str(port), "--seed", str(seed)]
    client = Client(ServerProcess("prices", command, folder / f"{port}.log"), port)
    client.process.start()
    client.process.wait_ready(client.answers, seconds=5)
    return client


def blob_of(answer: dict[str, Any]) -> Blob:
    (data,) = answer["binary"]["data"]
    return read(bytes.fromhex(data))


def price_of(server: Client, price_id: str = BTC_ID) -> dict[str, Any]:
    return server.latest(price_id)["parsed"][0]["price"]
