"""A bad node: a real HTTP server in front of the real one, which drops, repeats and lies as it is told."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import requests

Fault = Callable[[list[dict[str, Any]]], str]
Lie = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
HONEST = "honest"
# What a fault may say about a request, given its calls.
UNREACHABLE = "unreachable"  # the connection breaks before the node has heard anything
SILENT = "silent"  # the node has done it, and the answer is lost
TWICE = "twice"  # the request arrives two times


class BadNode:
    """Forwards to `url`; `fault` decides over each request, and `lie` makes each call's answer out of the true one.

    Used as a context, it serves on 127.0.0.1.
    """

    def __init__(self, url: str, fault: Fault, lie: Lie | None = None):
        node = requests.Session()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                calls = json.loads(body)
                verdict = fault(calls if isinstance(calls, list) else [calls])
                answer = b""
                if verdict != UNREACHABLE:
                    for _ in range(2 if verdict == TWICE else 1):
                        answer = node.post(url, data=body, headers={"Content-Type": "application/json"}).content
                if verdict in (UNREACHABLE, SILENT):
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if lie is not None:
                    answer = _told(lie, calls, json.loads(answer))
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

        self._node = node
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> BadNode:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._node.close()


def _told(lie: Lie, calls: Any, answers: Any) -> bytes:
    if isinstance(calls, dict):
        return json.dumps(lie(calls, answers)).encode()
    by_id = {answer["id"]: answer for answer in answers}
    return json.dumps([lie(call, by_id[call["id"]]) for call in calls]).encode()


def methods(calls: list[dict[str, Any]]) -> set[str]:
    """What a request asks for."""
    return {call["method"] for call in calls}
