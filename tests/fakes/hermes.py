"""A Hermes on a real socket: its routes, shapes and error texts, prices as the test sets them, and faults on order.

It passes the same contract test as the recorded answers and the local price server (`test_hermes_contract`).
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from contracts.guardians import GuardianSet
from contracts.pnau import Accumulator, PriceMessage

LATEST = "/v2/updates/price/latest"
STREAM = "/v2/updates/price/stream"
Fault = Callable[["Handler"], None]


class Publisher(Protocol):
    """What a Hermes serves: the feeds it has, and its answer for some of them."""

    def known(self) -> set[bytes]:
        """The feeds it has."""

    def latest(self, feeds: Sequence[bytes]) -> dict[str, Any]:
        """The answer for these feeds, all of them known."""


class SignedPrices:
    """Prices set by the test and signed by its guardians; a group of feeds may stand in a slot of its own."""

    def __init__(self, guardians: GuardianSet, messages: Iterable[PriceMessage] = ()) -> None:
        self.guardians = guardians
        self.slot = 1
        self.messages: dict[bytes, PriceMessage] = {}
        self.slots: dict[bytes, int] = {}
        self.put(*messages)

    def put(self, *messages: PriceMessage) -> None:
        """Publish these in a new slot; the others stay in the slot they have."""
        self.slot += 1
        for message in messages:
            self.messages[message.price_id] = message
            self.slots[message.price_id] = self.slot

    def known(self) -> set[bytes]:
        return set(self.messages)

    def latest(self, feeds: Sequence[bytes]) -> dict[str, Any]:
        blobs = []
        for slot in sorted({self.slots[feed] for feed in feeds}):
            there = [self.messages[feed] for feed in feeds if self.slots[feed] == slot]
            newest = max(message.publish_time for message in there)
            blobs.append(Accumulator(there, slot=slot, timestamp=newest, guardians=self.guardians).encode())
        return {
            "binary": {"encoding": "hex", "data": [blob.hex() for blob in blobs]},
            "parsed": [self._parsed(self.messages[feed]) for feed in feeds],
        }

    def _parsed(self, message: PriceMessage) -> dict[str, Any]:
        scale = {"expo": message.expo, "publish_time": message.publish_time}
        return {
            "id": message.price_id.hex(),
            "price": {"price": str(message.price), "conf": str(message.conf), **scale},
            "ema_price": {"price": str(message.ema_price), "conf": str(message.ema_conf), **scale},
            "metadata": {
                "slot": self.slots[message.price_id],
                "proof_available_time": message.publish_time + 1,
                "prev_publish_time": message.prev_publish_time,
            },
        }


class RecordedAnswers:
    """Answers recorded from the real service, given out for exactly the feeds they were recorded for."""

    def __init__(self, answers: Sequence[dict[str, Any]]) -> None:
        self._answers = {
            frozenset(bytes.fromhex(item["id"]) for item in answer["parsed"]): answer for answer in answers
        }

    def known(self) -> set[bytes]:
        return set().union(*self._answers)

    def latest(self, feeds: Sequence[bytes]) -> dict[str, Any]:
        return self._answers[frozenset(feeds)]


class FakeHermes(ThreadingHTTPServer):
    """Serves a publisher; `faults` are used up first, one a request, and `requests` remembers what came.

    The stream that was opened last sends what is put into `events`, as it is, and ends at None.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self, publisher: Publisher) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.publisher = publisher
        self.faults: deque[Fault] = deque()
        self.requests: list[tuple[str, list[tuple[str, str]], Mapping[str, str]]] = []
        self.released = threading.Event()
        self.events: deque[bytes | None] = deque()
        self.changed = threading.Condition()
        self.streams = 0

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.server_port}"

    def send(self, event: bytes | None) -> None:
        """Send this down the stream; None ends it."""
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def next_event(self, stream: int) -> tuple[bytes | None, bool]:
        """What that stream is to send next, and whether it goes on at all: not when another was opened meanwhile."""
        with self.changed:
            while not self.released.is_set() and self.streams == stream and not self.events:
                self.changed.wait(0.05)
            if self.released.is_set() or self.streams != stream:
                return None, False
            return self.events.popleft(), True

    def publish(self, feeds: Sequence[bytes]) -> None:
        """Send the publisher's present answer down the stream, as Hermes writes it."""
        self.send(b"data:" + json.dumps(self.publisher.latest(feeds)).encode() + b"\n\n")


class Handler(BaseHTTPRequestHandler):
    """One request: a fault if one is waiting, else what Hermes would say."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: FakeHermes

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = parse_qsl(parts.query, keep_blank_values=True)
        self.server.requests.append((parts.path, query, dict(self.headers)))
        if self.server.faults:
            self.server.faults.popleft()(self)
        elif parts.path == LATEST:
            self._known(query, lambda feeds: self.reply(200, json.dumps(self.server.publisher.latest(feeds)).encode()))
        elif parts.path == STREAM:
            self._known(query, self._stream)
        else:
            self.reply(404)

    def _known(self, query: Sequence[tuple[str, str]], answer: Callable[[Sequence[bytes]], None]) -> None:
        feeds = [bytes.fromhex(value.removeprefix("0x")) for name, value in query if name == "ids[]"]
        missing = [feed.hex() for feed in feeds if feed not in self.server.publisher.known()]
        if missing:
            self.reply(404, ("Price ids not found: " + ", ".join(missing)).encode())
        else:
            answer(feeds)

    def _stream(self, feeds: Sequence[bytes]) -> None:
        self.send_response(200)
        for name, value in (("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")):
            self.send_header(name, value)
        self.end_headers()
        self.close_connection = True
        with self.server.changed:
            self.server.streams += 1
            mine = self.server.streams
        goes_on = True
        try:
            while goes_on:
                event, goes_on = self.server.next_event(mine)
                piece = event or b""
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
                goes_on = goes_on and event is not None
        except OSError:
            return  # the reader went away

    def reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """A whole answer, unless `headers` claim another length."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | dict(headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def answer(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Answer so instead; `Retry_After="7"` becomes the header `Retry-After`."""
    return lambda handler: handler.reply(status, body, {name.replace("_", "-"): text for name, text in headers.items()})


def cut_short(handler: Handler) -> None:
    """Promise more than is sent, and close."""
    handler.reply(200, b'{"binary":', {"Content-Length": "5000"})
    handler.close_connection = True


def hang_up(handler: Handler) -> None:
    """Close without a word."""
    handler.close_connection = True


def never_answer(handler: Handler) -> None:
    """Hold the connection until the test is over."""
    handler.server.released.wait(30)
    handler.close_connection = True


def drip(handler: Handler) -> None:
    """Send a byte now and then, so that no single wait is long."""
    handler.send_response(200)
    handler.send_header("Content-Length", "5000")
    handler.end_headers()
    while not handler.server.released.wait(0.02):
        try:
            handler.wfile.write(b" ")
        except OSError:
            break
    handler.close_connection = True


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Serve in a thread for as long as the block lasts."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        if isinstance(server, FakeHermes):
            server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
