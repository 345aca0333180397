"""A bad node: a real HTTP server in front of the real one, which drops, repeats and lies as it is told."""

from __future__ import annotations

import json
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import requests

Fault = Callable[[list[dict[str, Any]]], str]
Lie = Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]
HONEST = "honest"
# What a fault may say about a request, given its calls.
UNREACHABLE = "unreachable"  # the connection breaks before the node has heard anything
SILENT = "silent"  # the node has done it, and the answer is lost
TWICE = "twice"  # the request arrives two times
LATE = "late"  # the node has done it, and the answer comes after a while
TOO_LATE = "too late"  # ... after the client has given up
ERROR = "error"  # the node answers each call with an error of its own
BAD_GATEWAY = "bad gateway"  # something before the node answers in its place
FORGETS = "forgets"  # the node takes transactions, and drops them from its pool

LATE_SECONDS = 0.1
INTERNAL = {"code": -32603, "message": "Internal error"}


class BadNode:
    """Forwards to `url`; `fault` decides over each request, and `lie` makes each call's answer out of the true one.

    Used as a context, it serves on 127.0.0.1. `patience_seconds`: when its client gives up. `struck` counts the faults.
    """

    def __init__(self, url: str, fault: Fault, lie: Lie | None = None, *, patience_seconds: float = 5.0):
        node = requests.Session()
        self.struck: Counter[str] = Counter()
        self._ended = Event()
        struck, ended = self.struck, self._ended
        waits = {LATE: LATE_SECONDS, TOO_LATE: patience_seconds * 1.5}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                calls = json.loads(body)
                verdict = fault(calls if isinstance(calls, list) else [calls])
                struck[verdict] += 1
                answer = b""
                if verdict not in (UNREACHABLE, ERROR, BAD_GATEWAY):
                    for _ in range(2 if verdict == TWICE else 1):
                        answer = node.post(url, data=body, headers={"Content-Type": "application/json"}).content
                if verdict in (UNREACHABLE, SILENT):
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if verdict == ERROR:
                    answer = _told(_internal_error, calls, None)
                if verdict == FORGETS:
                    _drop(node, url, calls, json.loads(answer))
                if lie is not None:
                    answer = _told(lie, calls, json.loads(answer))
                ended.wait(waits.get(verdict, 0.0))
                with suppress(OSError):  # the client may have given up
                    self._say(502 if verdict == BAD_GATEWAY else 200, answer)

            def _say(self, status: int, answer: bytes) -> None:
                self.send_response(status)
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
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._node.close()


def _told(lie: Lie, calls: Any, answers: Any) -> bytes:
    if isinstance(calls, dict):
        return json.dumps(lie(calls, answers)).encode()
    by_id = {answer["id"]: answer for answer in answers or ()}
    return json.dumps([lie(call, by_id.get(call["id"], {})) for call in calls]).encode()


def _internal_error(call: dict[str, Any], _answer: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call["id"], "error": INTERNAL}


def _drop(node: requests.Session, url: str, calls: Any, answers: Any) -> None:
    """Take out of the pool what has just been put there."""
    together = calls if isinstance(calls, list) else [calls]
    sent = {call["id"] for call in together if call["method"] == "eth_sendRawTransaction"}
    for answer in answers if isinstance(answers, list) else [answers]:
        if answer["id"] in sent and "result" in answer:
            call = {"jsonrpc": "2.0", "id": 1, "method": "anvil_dropTransaction", "params": [answer["result"]]}
            node.post(url, json=call)


def methods(calls: list[dict[str, Any]]) -> set[str]:
    """What a request asks for."""
    return {call["method"] for call in calls}
