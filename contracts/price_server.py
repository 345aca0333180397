"""A price server for the local chain, in the shapes and error texts of Pyth's Hermes; loopback only.

    python -m contracts.price_server --port 8600 --seed 7

Beside Hermes's addresses there is one for development: `POST /dev/prices` with, for each symbol, any of
`{"price": "61409.93", "conf_bps": 3, "frozen": false, "stale_seconds": 0}`. A price moves the walk's base there at
once; a frozen feed repeats its last message; an aged one is dated in the past.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import FrameType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from contracts.feeds import FEEDS
from contracts.hermes import BadRequest, NotFound, PriceQuery, feed_metadata, order_from, order_view, update_view
from contracts.price_book import DEFAULT_STEP_PPM, PriceBook, Snapshot

HOST = "127.0.0.1"
MAX_BODY_BYTES = 64 * 1024
Pairs = Sequence[tuple[str, str]]


class PriceServer(ThreadingHTTPServer):
    """Serves one price book; each request brings the book up to the present second."""

    daemon_threads = True
    request_queue_size = 128
    block_on_close = False  # a stream's thread ends with the process

    def __init__(self, port: int, *, seed: int, step_ppm: int = DEFAULT_STEP_PPM):
        super().__init__((HOST, port), Handler)
        self._book = PriceBook(FEEDS, seed=seed, now=_now(), step_ppm=step_ppm)
        self._lock = threading.Lock()
        self.stopping = threading.Event()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.server_port}"

    def latest(self) -> Snapshot:
        """The newest snapshot."""
        with self._lock:
            return self._book.advance(_now())

    def first_since(self, publish_time: int, price_ids: Sequence[bytes]) -> Snapshot | None:
        """See PriceBook.first_since."""
        with self._lock:
            self._book.advance(_now())
            return self._book.first_since(publish_time, price_ids)

    def order(self, body: object) -> dict[str, Any]:
        """Carry out a control request, whole or not at all; raises BadRequest or NotFound."""
        with self._lock:
            orders = order_from(body, known=set(self._book.states))
            done = {symbol: self._book.order(symbol, _now(), **changes) for symbol, changes in orders.items()}
            return {symbol: order_view(state) for symbol, state in done.items()}

    def shutdown(self) -> None:
        """Stop serving; open streams end at their next event."""
        self.stopping.set()
        super().shutdown()


class Handler(BaseHTTPRequestHandler):
    """Hermes's routes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or the body waits 40 ms for the headers' acknowledgement
    server: PriceServer

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        try:
            self._get(parts.path, pairs)
        except NotFound as error:
            self._text(HTTPStatus.NOT_FOUND, str(error))
        except BadRequest as error:
            self._text(HTTPStatus.BAD_REQUEST, str(error))

    def do_POST(self) -> None:
        try:
            if urlsplit(self.path).path != "/dev/prices":
                raise NotFound("")
            self._json(self.server.order(self._body()))
        except NotFound as error:
            self._text(HTTPStatus.NOT_FOUND, str(error))
        except BadRequest as error:
            self._text(HTTPStatus.BAD_REQUEST, str(error))

    def _get(self, path: str, pairs: Pairs) -> None:
        if path == "/live":
            self._text(HTTPStatus.OK, "OK")
        elif path == "/v2/price_feeds":
            self._json(feed_metadata(FEEDS, pairs))
        elif path == "/v2/updates/price/latest":
            query = PriceQuery.parse(pairs, FEEDS)
            self._json(update_view(self.server.latest(), query))
        elif path == "/v2/updates/price/stream":
            self._stream(PriceQuery.parse(pairs, FEEDS))
        elif path.startswith("/v2/updates/price/"):
            self._at_time(path.removeprefix("/v2/updates/price/"), pairs)
        else:
            raise NotFound("")

    def _at_time(self, text: str, pairs: Pairs) -> None:
        try:
            publish_time = int(text)
        except ValueError:
            raise BadRequest(f"Invalid URL: Cannot parse `{text}` to a `i64`") from None
        query = PriceQuery.parse(pairs, FEEDS)
        snapshot = self.server.first_since(publish_time, query.price_ids)
        if snapshot is None:
            raise NotFound("Update data not found")
        self._json(update_view(snapshot, query))

    def _stream(self, query: PriceQuery) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-cache")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for snapshot in self._new_snapshots():
                self._chunk(f"data:{_dump(update_view(snapshot, query))}\n\n".encode())
            self._chunk(b"")
        except OSError:
            self.close_connection = True  # the reader went away, which is how a stream usually ends

    def _new_snapshots(self) -> Iterator[Snapshot]:
        last = self.server.latest().slot
        while not self.server.stopping.wait(0.05):
            snapshot = self.server.latest()
            if snapshot.slot > last:
                last = snapshot.slot
                yield snapshot

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def _body(self) -> object:
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY_BYTES:
            self.close_connection = True
            raise BadRequest("body too large")
        try:
            return json.loads(self.rfile.read(length))
        except ValueError:
            raise BadRequest("the body is not JSON") from None

    def _json(self, value: object) -> None:
        self._answer(HTTPStatus.OK, "application/json", _dump(value))

    def _text(self, status: HTTPStatus, text: str) -> None:
        self._answer(status, "text/plain; charset=utf-8", text)

    def _answer(self, status: HTTPStatus, content_type: str, text: str) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a line a request would bury the demonstration's log."""


def _now() -> int:
    return int(time.time())


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line: serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, default=8600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--step-ppm", type=int, default=DEFAULT_STEP_PPM, help="the walk's largest step a second")
    options = parser.parse_args(arguments)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        server = PriceServer(options.port, seed=options.seed, step_ppm=options.step_ppm)
    except OSError as error:
        sys.stderr.write(f"cannot listen on {HOST}:{options.port} ({error.strerror}); choose another --port\n")
        return 1
    with server:
        sys.stdout.write(f"prices on {server.url}\n")
        sys.stdout.flush()
        server.serve_forever(poll_interval=0.05)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
