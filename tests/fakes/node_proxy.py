"""A provider in front of a real node: real JSON-RPC over real sockets, with faults where a test wants them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

Calls = list[dict[str, Any]]


@dataclass
class Answer:
    """An HTTP answer instead of the node's. `drip_seconds` sends the body byte by byte, that far apart."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    drip_seconds: float | None = None
    cut: bool = False


class NodeProxy:
    """`before` sees each request's calls (a single one as a list of one) and may answer in the node's place; `after`
    may change the node's decoded answer. `seen` are the methods asked for, a list a request.
    """

    def __init__(self, node_url: str = ""):
        self.node_url = node_url
        self.before: Callable[[Calls], Answer | None] = lambda calls: None
        self.after: Callable[[Calls, Any], Any] = lambda calls, answer: answer
        self.seen: list[list[str]] = []
        self.ended = threading.Event()
        self._session = requests.Session()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                proxy._serve(self, body)

            def log_message(self, *args: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        # A test that fails before it closes the proxy must not keep the run alive.
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Stop listening."""
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._session.close()

    def _serve(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        asked = json.loads(body)
        calls = asked if isinstance(asked, list) else [asked]
        self.seen.append([call["method"] for call in calls])
        answer = self.before(calls)
        if answer is None:
            found = self._session.post(self.node_url, json=asked, timeout=30).json()
            answer = Answer(body=json.dumps(self.after(calls, found)).encode())
        try:
            self._send(handler, answer)
        except OSError:
            handler.close_connection = True

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(answer.body) + (1 if answer.cut else 0)))
        handler.end_headers()
        if answer.drip_seconds is None:
            handler.wfile.write(answer.body)
        for place in range(len(answer.body)) if answer.drip_seconds is not None else ():
            handler.wfile.write(answer.body[place : place + 1])
            handler.wfile.flush()
            if self.ended.wait(answer.drip_seconds):
                break
        if answer.cut:
            handler.close_connection = True


def result(call: dict[str, Any], value: Any) -> dict[str, Any]:
    """A call's answer."""
    return {"jsonrpc": "2.0", "id": call["id"], "result": value}


def error(call: dict[str, Any], code: int, message: str, data: Any = None) -> dict[str, Any]:
    """A call's error."""
    fault = {"code": code, "message": message} | ({} if data is None else {"data": data})
    return {"jsonrpc": "2.0", "id": call["id"], "error": fault}


def said(value: Any, status: int = 200, **headers: str) -> Answer:
    """A JSON body."""
    return Answer(status, json.dumps(value).encode(), headers)
