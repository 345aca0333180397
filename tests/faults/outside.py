"""The outside world: receives effects and callbacks and counts them, in the harness's own process."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from app.ops.adapters.process import free_port


class Outside:
    """Counts what arrives: effects by (what, subject), callbacks by job, and those whose signature is wrong."""

    def __init__(self) -> None:
        self.arrived: Counter[tuple[str, str]] = Counter()
        self.callbacks: Counter[str] = Counter()
        self.badly_signed = 0
        self.key = b""
        self.port = free_port()
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None

    @property
    def url(self) -> str:
        """Where it listens, or will."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> None:
        """Listen, again on the same port."""
        world = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                world.take(self.path.strip("/"), body, dict(self.headers))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        """Refuse connections."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def take(self, what: str, body: bytes, headers: dict[str, str]) -> None:
        """Count one arrival."""
        with self._lock:
            if what != "callback":
                self.arrived[what, json.loads(body)["subject"]] += 1
            elif signed(headers["Watchkeeper-Signature"], body, self.key):
                self.callbacks[headers["Watchkeeper-Delivery"]] += 1
            else:
                self.badly_signed += 1

    def forget(self) -> None:
        """Start counting afresh."""
        with self._lock:
            self.arrived.clear()
            self.callbacks.clear()
            self.badly_signed = 0


def signed(signature: str, body: bytes, key: bytes) -> bool:
    """Whether a callback is from the service that gave us `key`, as the documentation tells a client to check."""
    stamp, given = (part.partition("=")[2] for part in signature.split(","))
    expected = hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(given, expected)
